//! Finds out which file of a crate imports which, from its `use` statements and from paths that begin with `crate::`,
//! `super::`, `self::` or a module of its own. Ignores comments, strings and tests. Reads the text as rustfmt formats
//! it, and does not expand macros.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// A module as a path from the crate's root: `["policy", "page"]`.
pub type Module = Vec<String>;

/// The modules of a crate and their imports.
pub struct Crate {
    /// The file of each module.
    pub files: BTreeMap<Module, PathBuf>,
    /// Pairs of a module and an imported module.
    pub imports: BTreeSet<(Module, Module)>,
}

/// One path in a source.
struct Named {
    path: Vec<String>,
    is_public: bool,
    /// Whether it is in a `use` statement. Otherwise it is a path in the code.
    is_use: bool,
}

impl Crate {
    /// Reads the sources below `folder`. The root (`lib.rs` or `main.rs`) counts as importing nothing, because it only
    /// declares modules.
    pub fn read(folder: &Path) -> Self {
        let mut files = BTreeMap::new();
        collect(folder, folder, &mut files);
        assert!(!files.is_empty(), "{} has no sources", folder.display());
        let text = |path: &PathBuf| fs::read_to_string(path).expect("a source is text");
        let sources = files.iter().map(|(module, path)| (module.clone(), words(&code(&text(path))))).collect();
        let imports = imports(&sources);
        Self { files, imports }
    }

    /// Path of the file, for messages.
    pub fn file(&self, module: &Module) -> String {
        self.files.get(module).map_or_else(String::new, |path| path.display().to_string())
    }
}

/// The sources of the modules below `folder`, without their tests.
fn collect(root: &Path, folder: &Path, files: &mut BTreeMap<Module, PathBuf>) {
    for entry in fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("its entries can be read").path();
        let name = path.file_stem().expect("it has a name").to_string_lossy().into_owned();
        if path.is_dir() {
            if name != "tests" {
                collect(root, &path, files);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") && name != "tests" {
            let inside = path.strip_prefix(root).expect("it is inside").with_extension("");
            let mut module: Module = inside.iter().map(|part| part.to_string_lossy().into_owned()).collect();
            module.pop_if(|last| last == "mod");
            if folder != root || (name != "lib" && name != "main") {
                files.insert(module, path);
            }
        }
    }
}

/// The imports of each module. If a module re-exports a name of another one (`pub use page::Page`), its users import
/// the module that defines the name. A re-export is not an import of the re-exporting module, unless it also uses the
/// name.
pub fn imports(sources: &BTreeMap<Module, Vec<String>>) -> BTreeSet<(Module, Module)> {
    let named: BTreeMap<&Module, Vec<Named>> =
        sources.iter().map(|(module, words)| (module, paths(module, words, sources))).collect();
    let mut handed_on: BTreeMap<(Module, String), Vec<String>> = BTreeMap::new();
    for (module, named) in &named {
        for named in named.iter().filter(|named| named.is_public) {
            let name = named.path.last().expect("a path has a name").clone();
            handed_on.insert(((*module).clone(), name), named.path.clone());
        }
    }
    let mut imports = BTreeSet::new();
    for (module, named) in named {
        let used = own_words(sources.get(module).expect("it is one of them"));
        for Named { mut path, is_public, is_use } in named {
            let mut target = module_of(&path, sources);
            // Follow re-exports to the module that defines the name. There are at most three in a row.
            for _ in 0..3 {
                let Some(name) = path.get(target.len()) else { break };
                let Some(behind) = handed_on.get(&(target.clone(), name.clone())) else { break };
                path.clone_from(behind);
                target = module_of(&path, sources);
            }
            let is_door = is_use && is_public && target.starts_with(module);
            let is_unused = path.last().is_some_and(|name| !used.contains(name.as_str()));
            if target != *module && !target.is_empty() && !(is_door && is_unused) {
                imports.insert((module.clone(), target));
            }
        }
    }
    imports
}

/// The words of a module, without its `use` statements and the names of its own modules.
fn own_words(words: &[String]) -> BTreeSet<&str> {
    let mut own = BTreeSet::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "use" => drop(words.find(|word| *word == ";")),
            "mod" => drop(words.next()),
            other => drop(own.insert(other)),
        }
    }
    own
}

/// The longest prefix of a path that is a module.
fn module_of(path: &[String], sources: &BTreeMap<Module, Vec<String>>) -> Module {
    let longest = (0..=path.len()).rev().find_map(|length| path.get(..length).filter(|it| sources.contains_key(*it)));
    longest.unwrap_or_default().to_vec()
}

/// All paths of a module, from the crate's root.
fn paths(module: &Module, words: &[String], sources: &BTreeMap<Module, Vec<String>>) -> Vec<Named> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(word) = words.get(at) {
        let before = at.checked_sub(1).and_then(|before| words.get(before)).map(String::as_str);
        // `use<'_>` declares what an opaque type borrows.
        if word == "use" && words.get(at + 1).is_some_and(|next| next != "<") {
            let end = at + words[at..].iter().position(|word| word == ";").expect("a use ends");
            // `pub use` and `pub(crate) use`.
            let is_public = matches!(before, Some("pub" | ")"));
            for path in tree(&words[at + 1..end]) {
                found.extend(absolute(module, path, sources).map(|path| Named { path, is_public, is_use: true }));
            }
            at = end;
        } else if before != Some("::") && words.get(at + 1).is_some_and(|next| next == "::") {
            let mut path = vec![word.clone()];
            while words.get(at + 1).is_some_and(|next| next == "::") {
                at += 2;
                path.extend(words.get(at).cloned());
            }
            found.extend(absolute(module, path, sources).map(|path| Named { path, is_public: false, is_use: false }));
        }
        at += 1;
    }
    found
}

/// The paths of `a::{b, c::{self, d as e}}`. A renamed item counts under its old name.
fn tree(words: &[String]) -> Vec<Vec<String>> {
    let Some(open) = words.iter().position(|word| word == "{") else {
        let words = words.iter().take_while(|word| *word != "as").filter(|word| *word != "::");
        return vec![words.cloned().collect()];
    };
    let prefix: Vec<String> = words[..open].iter().filter(|word| *word != "::").cloned().collect();
    let close = words.iter().rposition(|word| word == "}").expect("a brace is closed");
    let mut branches = vec![Vec::new()];
    let mut depth = 0;
    for word in &words[open + 1..close] {
        match word.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            "," if depth == 0 => {
                branches.push(Vec::new());
                continue;
            }
            _ => {}
        }
        branches.last_mut().expect("there is one").push(word.clone());
    }
    let branches = branches.iter().filter(|branch| !branch.is_empty()).flat_map(|branch| tree(branch));
    branches.map(|branch| [prefix.clone(), branch].concat()).collect()
}

/// A path from the crate's root. `None` if it leads into another crate or belongs to a type.
fn absolute(module: &Module, path: Vec<String>, sources: &BTreeMap<Module, Vec<String>>) -> Option<Vec<String>> {
    let mut at = module.clone();
    let mut rest = path.into_iter().peekable();
    match rest.peek()?.as_str() {
        "crate" => at.clear(),
        "self" => {}
        "super" => {
            while rest.next_if(|word| word == "super").is_some() {
                at.pop();
            }
            return Some(at.into_iter().chain(rest).filter(|word| word != "self").collect());
        }
        own => {
            at.push(own.to_owned());
            sources.contains_key(&at).then_some(())?;
        }
    }
    rest.next();
    Some(at.into_iter().chain(rest).filter(|word| word != "self").collect())
}

/// The code of a file without comments, strings and tests.
pub fn code(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if next == '"' {
            string(rest)
        } else if let Some(hashes) = raw_string(rest) {
            let end = format!("\"{}", "#".repeat(hashes));
            let begin = hashes + 2;
            rest[begin..].find(&end).map_or(rest.len(), |at| begin + at + end.len())
        } else if rest.starts_with("'\\") {
            // `'\''`, `'\u{1f}'`.
            3 + rest[3..].find('\'').map_or(0, |at| at + 1)
        } else if next == '\'' && rest.chars().nth(2) == Some('\'') {
            rest.char_indices().nth(3).map_or(rest.len(), |(at, _)| at)
        } else {
            code.push(next);
            next.len_utf8()
        };
        rest = &rest[skipped..];
    }
    code.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned()
}

/// Length in bytes of the string that begins here.
fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        match character {
            '"' if !escaped => return at + 1,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    text.len()
}

/// Number of `#` signs, if a raw string begins here.
fn raw_string(text: &str) -> Option<usize> {
    let rest = text.strip_prefix('r')?;
    let hashes = rest.bytes().take_while(|byte| *byte == b'#').count();
    rest[hashes..].starts_with('"').then_some(hashes)
}

/// Names, `::`, and single other characters.
pub fn words(code: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = code.trim_start();
    while let Some(first) = rest.chars().next() {
        let is_part = |character: char| character.is_alphanumeric() || character == '_';
        let length = match first {
            _ if is_part(first) => rest.find(|character| !is_part(character)).unwrap_or(rest.len()),
            ':' if rest.starts_with("::") => 2,
            other => other.len_utf8(),
        };
        words.push(rest[..length].to_owned());
        rest = rest[length..].trim_start();
    }
    words
}
