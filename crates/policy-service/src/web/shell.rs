//! The document around a page. maud escapes every text.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::assets::{self, Asset};

/// htmx adds no style, evaluates no text of a page, runs no script that it fetched, and keeps no page in the browser's
/// storage.
const HTMX: &str = concat!(
    r#"{"includeIndicatorStyles":false,"allowEval":false,"allowScriptTags":false,"historyCacheSize":0,"#,
    r#""historyEnabled":false,"selfRequestsOnly":true,"timeout":15000}"#
);

/// What the document of a page consists of.
#[derive(Debug)]
pub struct Shell<'a> {
    /// The part of the address before `/console`.
    pub prefix: &'a str,
    /// The title, which is the text of the page's `h1` too.
    pub title: &'a str,
    /// Whether the page has behaviour. A page of a sign-in has none.
    pub has_scripts: bool,
    /// Further elements of the head.
    pub head: Markup,
    /// What stands above the page: the name of the service, navigation, who is signed in.
    pub top: Markup,
    /// The page.
    pub body: Markup,
}

impl Shell<'_> {
    /// The document.
    pub fn document(&self) -> Markup {
        let Self { prefix, title, has_scripts, head, top, body } = self;
        let at = |asset: &Asset| format!("{prefix}{}", asset.path());
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    link rel="icon" type="image/svg+xml" href=(at(&assets::ICON));
                    link rel="stylesheet" href=(at(&assets::STYLES));
                    @if *has_scripts {
                        meta name="htmx-config" content=(HTMX);
                        script src=(at(&assets::HTMX)) defer {}
                        script src=(at(&assets::CONSOLE)) defer {}
                    }
                    (head)
                    title { (title) " · keygate" }
                }
                body {
                    a.skip href="#main" { "Skip to the content" }
                    (top)
                    main #main tabindex="-1" { (body) }
                }
            }
        }
    }
}

/// Nothing.
pub fn nothing() -> Markup {
    PreEscaped(String::new())
}
