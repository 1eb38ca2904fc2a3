//! The gateway's secret as a kubelet mounts it: a folder with `sds.yaml`, which Envoy watches. The resource in it is that of
//! `envoy/istio/secret-file.yaml` and `envoy/gateway/secret-file.yaml`. What Envoy does with it, the tests say.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use serde_json::json;

use crate::{Error, Result};

/// Folder and file by the names that the manifests give them.
const MOUNT: &str = "/etc/keygate";
const FILE: &str = "sds.yaml";

/// A folder that is replaced as a whole: `sds.yaml` is a link to `..data/sds.yaml`, and `..data` is a link to the folder with
/// the present content. A new content is a new folder, and then one rename.
pub struct Mounted {
    folder: PathBuf,
    present: u32,
}

impl Mounted {
    /// Makes the folder, with this secret.
    pub fn new(folder: PathBuf, secret: &str) -> Result<Self> {
        fs::create_dir_all(&folder).map_err(Error::io(format!("making {}", folder.display())))?;
        let mut mounted = Self { folder, present: 0 };
        mounted.replace(secret)?;
        let link = mounted.folder.join(FILE);
        symlink(Path::new("..data").join(FILE), &link).map_err(Error::io(format!("making {}", link.display())))?;
        Ok(mounted)
    }

    /// A text of a manifest that names the folder as the manifests do, with this folder in its place.
    pub fn placed(&self, manifest: &str) -> String {
        manifest.replace(MOUNT, &self.folder.display().to_string())
    }

    /// Replaces the secret.
    pub fn replace(&mut self, secret: &str) -> Result<()> {
        let old = self.content();
        self.present = self.present.saturating_add(1);
        let new = self.content();
        let resource = json!({"resources": [{
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
            "name": "keygate-gateway",
            "generic_secret": {"secret": {"inline_string": format!("Bearer {secret}")}},
        }]});
        let link = self.folder.join("..data_tmp");
        let replace = || {
            fs::create_dir(&new)?;
            fs::write(new.join(FILE), resource.to_string())?;
            symlink(new.file_name().unwrap_or_default(), &link)?;
            fs::rename(&link, self.folder.join("..data"))?;
            if old.exists() { fs::remove_dir_all(&old) } else { Ok(()) }
        };
        replace().map_err(Error::io(format!("replacing the secret in {}", self.folder.display())))
    }

    fn content(&self) -> PathBuf {
        self.folder.join(format!("..{}", self.present))
    }
}
