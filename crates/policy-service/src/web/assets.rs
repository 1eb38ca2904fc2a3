//! The static files of the pages: one style sheet, a small script, and htmx. They are part of the program.
//!
//! The name of a file has a digest of its content. So browsers keep a file for as long as they like, and fetch another one
//! as soon as a page names it. After an upgrade a page of the version before may still ask for a file that is gone (404).

use std::sync::LazyLock;

use axum::{
    extract::Path,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use sha2::{Digest as _, Sha256};

use crate::{hexadecimal::hexadecimal, http::problem::Problem};

/// The folder of the files, after the prefix of the service.
pub const FOLDER: &str = "/console/static";
/// Bytes of the digest in a name. 64 bits tell versions apart.
const DIGEST_BYTES: usize = 8;
/// A year, which is the longest time that RFC 9111 speaks of.
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// A static file.
#[derive(Debug)]
pub struct Asset {
    name: String,
    media_type: &'static str,
    text: &'static str,
}

impl Asset {
    fn new(stem: &str, ending: &str, media_type: &'static str, text: &'static str) -> Self {
        let digest = Sha256::digest(text);
        let digest = hexadecimal(digest.get(..DIGEST_BYTES).unwrap_or_default());
        Self { name: format!("{stem}.{digest}.{ending}"), media_type, text }
    }

    /// Its path, after the prefix of the service.
    pub fn path(&self) -> String {
        format!("{FOLDER}/{}", self.name)
    }
}

const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// The style sheet.
pub static STYLES: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("console", "css", STYLE, include_str!("static/console.css")));
/// The script of the console.
pub static CONSOLE: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("console", "js", SCRIPT, include_str!("static/console.js")));
/// The icon of the browser's tab.
pub static ICON: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("icon", "svg", "image/svg+xml", include_str!("static/icon.svg")));
/// htmx, as it was published.
pub static HTMX: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("htmx", "js", SCRIPT, include_str!("static/htmx.min.js")));

/// Serves a file.
pub async fn serve(Path(name): Path<String>) -> Response {
    let found = [&*STYLES, &*CONSOLE, &*HTMX, &*ICON].into_iter().find(|asset| asset.name == name);
    let Some(asset) = found else {
        return Problem::new(StatusCode::NOT_FOUND, "there is no such file in this version of the console")
            .into_response();
    };
    let headers: [(HeaderName, HeaderValue); 2] =
        [(header::CONTENT_TYPE, HeaderValue::from_static(asset.media_type)), (header::CACHE_CONTROL, FOR_EVER)];
    (headers, asset.text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The checksum of `dist/htmx.min.js` in the package htmx.org 2.0.11.
    const HTMX_SHA256: &str = "d6fdc75f204e6bdefa99b69bf1e6d4ac69b8a364f77929f45c13476b4000f717";

    #[test]
    fn htmx_is_as_it_was_published() {
        let digest: [u8; 32] = Sha256::digest(HTMX.text).into();
        assert_eq!(hexadecimal(&digest), HTMX_SHA256);
        assert!(include_str!("static/htmx.LICENSE.txt").contains("Zero-Clause BSD"));
        assert!(include_str!("static/README.md").contains("htmx.org 2.0.11"));
    }

    #[test]
    fn another_content_has_another_name() {
        let [one, other] = ["a", "b"].map(|text| Asset::new("x", "css", STYLE, text).path());
        assert_ne!(one, other);
        assert!(one.starts_with("/console/static/x.") && one.ends_with(".css"), "{one}");
    }
}
