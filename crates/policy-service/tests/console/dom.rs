//! A page as a browser reads it, and what holds for every page: names, labels, one heading, nothing written into it that
//! the content security policy would refuse, and nothing from another site.

use std::collections::{BTreeMap, BTreeSet};

use html5ever::{ParseOpts, parse_document, tendril::TendrilSink as _, tree_builder::TreeBuilderOpts};
use markup5ever_rcdom::{Handle, NodeData, RcDom};

/// No page has more bytes.
const MAX_BYTES: usize = 500_000;

/// An element, with its text and that of the elements in it.
#[derive(Clone, Debug)]
pub struct Element {
    pub name: String,
    pub attributes: BTreeMap<String, String>,
    pub text: String,
    /// The elements around it, as numbers.
    pub around: Vec<usize>,
}

impl Element {
    pub fn get(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }

    pub fn has(&self, name: &str) -> bool {
        self.attributes.contains_key(name)
    }
}

/// A page.
#[derive(Debug)]
pub struct Page {
    pub elements: Vec<Element>,
    pub errors: Vec<String>,
}

impl Page {
    pub fn parse(text: &str) -> Self {
        let tree_builder = TreeBuilderOpts { exact_errors: true, ..TreeBuilderOpts::default() };
        let options = ParseOpts { tree_builder, ..ParseOpts::default() };
        let dom = parse_document(RcDom::default(), options).one(text);
        let mut elements = Vec::new();
        walk(&dom.document, &mut Vec::new(), &mut elements);
        let errors = dom.errors.borrow().iter().map(ToString::to_string).collect();
        Self { elements, errors }
    }

    pub fn all<'p>(&'p self, name: &'p str) -> impl Iterator<Item = &'p Element> {
        self.elements.iter().filter(move |element| element.name == name)
    }

    /// The only element of this name.
    #[track_caller]
    pub fn one<'p>(&'p self, name: &'p str) -> &'p Element {
        let found: Vec<_> = self.all(name).collect();
        assert_eq!(found.len(), 1, "{name}");
        found[0]
    }

    pub fn with(&self, attribute: &str, value: &str) -> Option<&Element> {
        self.elements.iter().find(|element| element.get(attribute) == value)
    }

    /// Whether a link with these words leads to `href`.
    pub fn links(&self, href: &str) -> bool {
        self.all("a").any(|link| link.get("href") == href)
    }

    fn inside<'p>(&'p self, outer: usize) -> impl Iterator<Item = &'p Element> {
        self.elements.iter().filter(move |element| element.around.contains(&outer))
    }

    /// The fields of the form that is sent to `action`, as a browser sends them untouched.
    #[track_caller]
    pub fn form(&self, action: &str) -> Vec<(String, String)> {
        let at = self.elements.iter().position(|it| it.name == "form" && it.get("action") == action);
        let at = at.unwrap_or_else(|| {
            let all: Vec<_> = self.all("form").map(|form| form.get("action").to_owned()).collect();
            panic!("no form is sent to {action}, only to {all:?}")
        });
        let mut fields = Vec::new();
        for field in self.inside(at).filter(|field| field.has("name")) {
            let name = field.get("name").to_owned();
            let is_unticked = ["checkbox", "radio"].contains(&field.get("type")) && !field.has("checked");
            match field.name.as_str() {
                "input" if !is_unticked => fields.push((name, field.get("value").to_owned())),
                "textarea" => fields.push((name, field.text.clone())),
                "select" => {
                    let at = self.elements.iter().position(|it| std::ptr::eq(it, field)).unwrap();
                    let options: Vec<_> = self.inside(at).filter(|it| it.name == "option").collect();
                    let chosen = options.iter().find(|it| it.has("selected")).or(options.first());
                    fields.push((name, chosen.map_or("", |it| it.get("value")).to_owned()));
                }
                _ => {}
            }
        }
        fields
    }
}

fn walk(node: &Handle, around: &mut Vec<usize>, elements: &mut Vec<Element>) {
    match &node.data {
        NodeData::Element { name, attrs, .. } => {
            let attributes =
                attrs.borrow().iter().map(|it| (it.name.local.to_string(), it.value.to_string())).collect();
            let number = elements.len();
            elements.push(Element {
                name: name.local.to_string(),
                attributes,
                text: String::new(),
                around: around.clone(),
            });
            around.push(number);
            for child in node.children.borrow().iter() {
                walk(child, around, elements);
            }
            around.pop();
        }
        NodeData::Text { contents } => {
            for number in around.iter() {
                elements[*number].text.push_str(&contents.borrow());
            }
        }
        _ => {
            for child in node.children.borrow().iter() {
                walk(child, around, elements);
            }
        }
    }
}

/// What is wrong with a page, if anything is.
pub fn wrong(text: &str, prefix: &str) -> Vec<String> {
    let page = Page::parse(text);
    let mut wrong = page.errors.clone();
    let mut not = |holds: bool, what: String| {
        if !holds {
            wrong.push(what);
        }
    };
    not(text.len() < MAX_BYTES, format!("it has {} bytes", text.len()));
    not(page.one("html").get("lang") == "en", "no lang".to_owned());
    not(!page.all("title").next().is_none_or(|title| title.text.trim().is_empty()), "no title".to_owned());
    not(page.all("h1").count() == 1, format!("{} h1", page.all("h1").count()));
    not(page.all("main").count() == 1, "no main".to_owned());
    let ids: Vec<&str> = page.elements.iter().filter(|it| it.has("id")).map(|it| it.get("id")).collect();
    let unique: BTreeSet<&str> = ids.iter().copied().collect();
    not(ids.len() == unique.len(), format!("an id is there twice: {ids:?}"));
    for element in &page.elements {
        let Element { name, attributes, text, around } = element;
        for (attribute, value) in attributes {
            not(attribute != "style" && !attribute.starts_with("on"), format!("<{name} {attribute}={value:?}>"));
            let refers = ["aria-describedby", "aria-labelledby", "for", "aria-controls"];
            if refers.contains(&attribute.as_str()) {
                for id in value.split_whitespace() {
                    not(unique.contains(id), format!("<{name} {attribute}>: there is no {id}"));
                }
            }
        }
        match name.as_str() {
            "style" => not(false, "<style>".to_owned()),
            "script" => {
                let is_ours = element.get("src").starts_with(&format!("{prefix}/console/static/"));
                not(is_ours && text.is_empty(), format!("<script src={:?}>{text}", element.get("src")));
            }
            "link" => {
                let is_ours = element.get("href").starts_with(&format!("{prefix}/console/static/"));
                not(is_ours, format!("<link href={:?}>", element.get("href")));
            }
            "img" | "iframe" | "object" | "embed" | "base" | "audio" | "video" => not(false, format!("<{name}>")),
            "a" => {
                let href = element.get("href");
                let is_ours = href.strip_prefix('#').map_or_else(
                    || {
                        href == format!("{prefix}/console")
                            || href.starts_with(&format!("{prefix}/console/"))
                            || href.starts_with(&format!("{prefix}/console?"))
                    },
                    |id| unique.contains(id),
                );
                not(is_ours, format!("<a href={href:?}>"));
                not(!text.trim().is_empty(), format!("a link without words to {href}"));
            }
            "button" => not(!text.trim().is_empty(), "a button without words".to_owned()),
            "form" => {
                let number = page.elements.iter().position(|it| std::ptr::eq(it, element)).unwrap();
                let has_token =
                    page.inside(number).any(|it| it.get("name") == "csrf_token" && !it.get("value").is_empty());
                let is_sign_in = element.get("action").ends_with("/console/sign-in");
                let is_get = element.get("method") == "get";
                not(has_token != is_get || is_sign_in, "a form's token".to_owned());
                not(element.get("action").starts_with(&format!("{prefix}/console")), element.get("action").to_owned());
            }
            "input" | "select" | "textarea" if element.get("type") != "hidden" => {
                let has_label =
                    page.all("label").any(|it| !it.text.trim().is_empty() && it.get("for") == element.get("id"));
                not(has_label && element.has("id"), format!("{} has no label", element.get("name")));
                if element.get("type") == "radio" {
                    let is_grouped = around.iter().any(|it| page.elements[*it].name == "fieldset");
                    not(is_grouped, format!("{} is in no group", element.get("name")));
                }
            }
            "fieldset" => {
                let number = page.elements.iter().position(|it| std::ptr::eq(it, element)).unwrap();
                not(page.inside(number).any(|it| it.name == "legend"), "a group without a name".to_owned());
            }
            "table" => {
                let number = page.elements.iter().position(|it| std::ptr::eq(it, element)).unwrap();
                not(page.inside(number).any(|it| it.name == "caption"), "a table without a name".to_owned());
                not(page.inside(number).any(|it| it.get("scope") == "col"), "a table without columns".to_owned());
            }
            "time" => not(text.contains("UTC"), format!("a time without its zone: {text}")),
            "svg" => not(!element.get("aria-label").is_empty(), "a drawing without a name".to_owned()),
            _ => {}
        }
    }
    wrong
}

#[test]
fn a_page_with_a_mistake_is_noticed() {
    let page = |head: &str, body: &str| {
        format!(
            "<!DOCTYPE html><html lang=\"en\"><head><title>x</title>{head}</head><body><main><h1>x</h1>{body}</main></body></html>"
        )
    };
    assert_eq!(wrong(&page("", ""), ""), Vec::<String>::new());
    for (head, body) in [
        ("<style>p{}</style>", ""),
        ("<script>1</script>", ""),
        ("<script src=\"https://example.com/x.js\"></script>", ""),
        ("<link rel=\"stylesheet\" href=\"//example.com/x.css\">", ""),
        ("", "<p style=\"color:red\">x</p>"),
        ("", "<p onclick=\"x()\">x</p>"),
        ("", "<img src=\"/console/static/x\">"),
        ("", "<h1>y</h1>"),
        ("", "<p id=\"a\">x</p><p id=\"a\">y</p>"),
        ("", "<a href=\"https://example.com\">x</a>"),
        ("", "<a href=\"#nowhere\">x</a>"),
        ("", "<a href=\"/console\"> </a>"),
        ("", "<a href=\"javascript:x()\">x</a>"),
        ("", "<form method=\"post\" action=\"/console/x\"><button>x</button></form>"),
        ("", "<form method=\"get\" action=\"/console/x\"><input name=\"a\" id=\"a\"></form>"),
        ("", "<p aria-describedby=\"nowhere\">x</p>"),
        ("", "<table><tr><td>x</td></tr></table>"),
        ("", "<time>12:00</time>"),
        ("", "<p><b>x</p></b>"),
        ("", "<svg></svg>"),
    ] {
        assert!(!wrong(&page(head, body), "").is_empty(), "{head}{body}");
    }
}
