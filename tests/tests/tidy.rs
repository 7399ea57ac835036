//! The house's order, checked on the text of the tree: what lies on the top level, which way the arrow points, and
//! which names stay in which room.
//!
//! Reads the files that git tracks or would track; where there is no git, all that are not built or hidden. Knows no Rust:
//! lines, words, and manifests as they are written here. Every complaint names file and line and what to do.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Everything that may lie on the top level (DESIGN, section 2).
const TOP: [&str; 19] = [
    ".cargo",
    ".ci",
    ".deny.toml",
    ".gitignore",
    ".rustfmt.toml",
    "ARCHITECTURE.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "contract",
    "gateway",
    "household",
    "icons",
    "meter-link",
    "src-tauri",
    "tests",
    "ui",
    "xtask",
];

/// The arrow: each crate and the crates of the house it may name.
const ARROW: [(&str, &[&str]); 9] = [
    ("contract", &["meter-link"]),
    ("gateway", &["contract", "household", "meter-link"]),
    ("household", &["contract", "meter-link"]),
    ("meter-link", &[]),
    ("meter-link/fuzz", &["meter-link"]),
    ("src-tauri", &["contract", "gateway", "household", "meter-link"]),
    ("tests", &["contract", "gateway", "household", "meter-link"]),
    ("ui", &["contract", "meter-link"]),
    ("xtask", &[]),
];

/// The crates of the house, by name.
const HOUSE: [&str; 8] = ["contract", "gateway", "household", "meter-link", "tests", "ui", "wattle", "xtask"];

/// Parts that one room alone knows: the crate's name, and the path that all mentions are below.
const ROOMS: [(&str, &[&str]); 7] = [
    ("axum", &["gateway/"]),
    ("js_sys", BORDERS),
    ("keyring", &["household/"]),
    ("rusqlite", &["household/"]),
    ("tauri", &["src-tauri/"]),
    ("wasm_bindgen", BORDERS),
    ("web_sys", BORDERS),
];

/// Where the page touches the browser.
const BORDERS: &[&str] = &["ui/src/backend", "ui/src/chart"];

/// Where energy is exact, so that no float may be.
const EXACT: [&str; 6] = ["contract/", "gateway/", "household/", "meter-link/src/", "src-tauri/", "ui/src/"];

/// Past this many lines a file says in its first paragraph why it is long.
const LONG: usize = 600;

/// A file with its path from the top, written with `/`.
struct File {
    path: String,
    text: String,
}

impl File {
    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Lines and their numbers, from 1.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(at, line)| (at + 1, line))
    }

    /// Lines without their comments; an address (`://`) begins none.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.lines().map(|(number, line)| {
            let comment = line.match_indices("//").map(|(at, _)| at).find(|&at| !line[..at].ends_with(':'));
            (number, &line[..comment.unwrap_or(line.len())])
        })
    }

    /// The dependencies a manifest names, with the rest of their lines.
    fn dependencies(&self) -> Vec<(usize, &str, &str)> {
        let mut inside = false;
        let mut found = Vec::new();
        for (number, line) in self.lines() {
            if line.starts_with('[') {
                let section = line.trim().trim_matches(['[', ']']);
                inside = section.ends_with("dependencies") && !section.starts_with("workspace");
                continue;
            }
            let name = line.split(['.', '=', ' ']).next().unwrap_or_default().trim();
            if inside && !name.is_empty() && !name.starts_with('#') && line.contains('=') && !line.starts_with(' ') {
                found.push((number, name, line));
            }
        }
        found
    }
}

/// All text files of the tree but this one, which has to name what it forbids.
fn files() -> Vec<File> {
    let root = root();
    let listed = Command::new("git")
        .current_dir(root)
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .output()
        .ok()
        .filter(|output| output.status.success() && !output.stdout.is_empty())
        .map(|output| String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect());
    let mut paths: Vec<String> = listed.unwrap_or_else(|| {
        let mut paths = Vec::new();
        walk(root, "", &mut paths);
        paths
    });
    paths.sort();
    let files: Vec<File> = paths
        .into_iter()
        .filter(|path| path != "tests/tests/tidy.rs" && root.join(path).is_file())
        // What is no text has no lines to look at; its path still counts.
        .map(|path| File { text: fs::read_to_string(root.join(&path)).unwrap_or_default(), path })
        .collect();
    assert!(files.iter().filter(|file| file.is_rust()).count() > 20, "the tree was not found: {}", root.display());
    files
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the tree")
}

fn walk(folder: &Path, prefix: &str, paths: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("a folder of the tree").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        let is_built = ["target", "node_modules", ".git"].contains(&name.as_str()) || path == "ui/dist";
        if is_built {
            continue;
        }
        if entry.path().is_dir() {
            walk(&entry.path(), &format!("{path}/"), paths);
        } else {
            paths.push(path);
        }
    }
}

/// Whether a line has a word, not a part of one.
fn has_word(line: &str, word: &str) -> bool {
    let is_letter = |letter: char| letter.is_alphanumeric() || letter == '_';
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(is_letter) && !line[at + word.len()..].starts_with(is_letter))
}

/// Fails with all complaints at once.
#[track_caller]
fn check(complaints: impl IntoIterator<Item = String>) {
    let mut all = String::new();
    for complaint in complaints {
        let _ = write!(all, "\n  {complaint}");
    }
    assert!(all.is_empty(), "the house is untidy:{all}");
}

/// Complaints about each line of code, where `find` says what is wrong with it.
fn complaints<'a>(
    files: impl IntoIterator<Item = &'a File>,
    find: impl Fn(&File, &str) -> Option<String>,
) -> Vec<String> {
    let mut found = Vec::new();
    for file in files {
        for (number, line) in file.code() {
            if let Some(advice) = find(file, line) {
                found.push(format!("{}:{number}: {advice}: {}", file.path, line.trim()));
            }
        }
    }
    found
}

#[test]
fn the_top_level_is_the_one_of_the_design() {
    check(files().iter().filter_map(|file| {
        let top = file.path.split('/').next()?;
        (!TOP.contains(&top))
            .then(|| format!("{}:1: the top level is fixed; move it into one of its folders", file.path))
    }));
}

#[test]
fn the_arrow_points_one_way() {
    let files = files();
    check(files.iter().filter(|file| file.path.ends_with("/Cargo.toml")).flat_map(|file| {
        let folder = file.path.trim_end_matches("/Cargo.toml");
        let Some((_, allowed)) = ARROW.iter().find(|(name, _)| *name == folder) else {
            return vec![format!(
                "{}:1: a crate that the arrow does not know; give it its line in tests/tidy",
                file.path
            )];
        };
        file.dependencies()
            .into_iter()
            .filter(|(_, name, _)| HOUSE.contains(name) && !allowed.contains(name))
            .map(|(number, name, _)| {
                format!("{}:{number}: {folder} may not depend on {name}; turn it round", file.path)
            })
            .collect()
    }));
}

#[test]
fn the_contract_and_the_page_take_the_decoders_bare() {
    let files = files();
    let bare = ["contract/Cargo.toml", "ui/Cargo.toml"];
    check(files.iter().filter(|file| bare.contains(&file.path.as_str())).flat_map(|file| {
        file.dependencies()
            .into_iter()
            .filter(|(_, name, line)| *name == "meter-link" && line.contains("features"))
            .map(|(number, ..)| format!("{}:{number}: meter-link without features here; it becomes wasm", file.path))
            .collect::<Vec<_>>()
    }));
    let top = files.iter().find(|file| file.path == "Cargo.toml").expect("the workspace has a manifest");
    check(
        top.lines()
            .filter(|(_, line)| line.starts_with("meter-link = ") && !line.contains("default-features = false"))
            .map(|(number, _)| format!("Cargo.toml:{number}: meter-link needs default-features = false")),
    );
}

#[test]
fn each_part_is_known_to_one_room_only() {
    let files = files();
    let mut found = complaints(files.iter().filter(|file| file.is_rust()), |file, line| {
        let (name, homes) = ROOMS.iter().find(|(name, homes)| {
            let is_home = homes.iter().any(|home| file.path.starts_with(home));
            let is_named = line.contains(&format!("{name}::")) || line.trim_start().starts_with("use ");
            !is_home && is_named && has_word(line, name)
        })?;
        Some(format!("{name} is known to {} only; ask there for what you need", homes.join(" and ")))
    });
    found.extend(files.iter().filter(|file| file.path.ends_with("/Cargo.toml")).flat_map(|file| {
        let rooms = ROOMS.iter().filter(|(_, homes)| {
            // The page's borders are inside its crate, which the manifest cannot tell.
            let crates = homes.iter().map(|home| &home[..=home.find('/').unwrap_or(home.len() - 1)]);
            !crates.into_iter().any(|home| file.path.starts_with(home))
        });
        let strangers: Vec<String> = rooms.map(|(name, _)| name.replace('_', "-")).collect();
        file.dependencies()
            .into_iter()
            .filter(|(_, name, _)| strangers.iter().any(|stranger| stranger == name))
            .map(|(number, name, _)| format!("{}:{number}: {name} belongs to another crate", file.path))
            .collect::<Vec<_>>()
    }));
    check(found);
}

#[test]
fn floats_are_born_in_the_chart_only() {
    let files = files();
    let exact = files.iter().filter(|file| {
        let is_exact = EXACT.iter().any(|room| file.path.starts_with(room));
        file.is_rust() && is_exact && !file.path.starts_with("ui/src/chart")
    });
    check(complaints(exact, |_, line| {
        ["f32", "f64"]
            .into_iter()
            .find(|word| has_word(line, word))
            .map(|word| format!("{word} exists in ui/src/chart only; keep exact integers here"))
    }));
}

#[test]
fn modules_lie_beside_their_folders() {
    check(files().iter().filter(|file| file.path.ends_with("/mod.rs")).map(|file| {
        let folder = file.path.trim_end_matches("/mod.rs");
        format!("{}:1: move it to {folder}.rs", file.path)
    }));
}

#[test]
fn no_test_is_put_off_and_no_code_left_open() {
    let files = files();
    let advice = [
        ("#[ignore", "make it run, or take it out"),
        ("#[should_panic", "check the error's value instead"),
        ("dbg!(", "take it out"),
        ("todo!(", "write it, or leave the whole thing out"),
        ("unimplemented!(", "write it, or leave the whole thing out"),
    ];
    check(complaints(files.iter().filter(|file| file.is_rust()), |_, line| {
        advice.iter().find(|(word, _)| line.contains(word)).map(|(_, advice)| (*advice).to_owned())
    }));
}

#[test]
fn the_window_is_tested_from_outside() {
    let files = files();
    check(complaints(files.iter().filter(|file| file.path.starts_with("src-tauri/")), |_, line| {
        line.contains("#[test]").then(|| "cargo xtask test runs none here; move what has rules to gateway".to_owned())
    }));
}

#[test]
fn no_registry_and_no_machine_is_named() {
    // In parts, so that this file names none either.
    let hosts = [["crates", "io"], ["debian", "org"], ["npmjs", "org"], ["npmjs", "com"], ["pypi", "org"]];
    let hosts = hosts.map(|parts| parts.join("."));
    let places = ["root", "work", "Users"].map(|folder| format!("/{folder}/"));
    let mut found = Vec::new();
    // Cargo writes the name of its registry into its lock file itself.
    for file in files().iter().filter(|file| !file.path.ends_with("Cargo.lock")) {
        for (number, line) in file.lines() {
            if let Some(host) = hosts.iter().find(|host| has_word(line, host)) {
                found.push(format!("{}:{number}: {host}: leave the registry to the tool's own settings", file.path));
            }
            if let Some(place) = places.iter().find(|place| line.contains(place.as_str())) {
                found.push(format!(
                    "{}:{number}: {place} is of one machine: find it from the tree or the user",
                    file.path
                ));
            }
        }
    }
    check(found);
}

#[test]
fn the_glue_is_made_by_the_version_that_asks_for_it() {
    let files = files();
    let text =
        |path: &str| files.iter().find(|file| file.path == path).map(|file| file.text.as_str()).unwrap_or_default();
    let locked = text("Cargo.lock")
        .split("[[package]]")
        .find(|package| package.contains("name = \"wasm-bindgen\"\n"))
        .and_then(|package| package.split("version = \"").nth(1)?.split('"').next())
        .expect("the page needs wasm-bindgen");
    let pinned = format!("\"={locked}\"");
    let has_pin = text("xtask/Cargo.toml")
        .lines()
        .any(|line| line.starts_with("wasm-bindgen-cli-support") && line.contains(&pinned));
    check(
        (!has_pin).then(|| format!("xtask/Cargo.toml:1: wasm-bindgen-cli-support must be {pinned}, as in Cargo.lock")),
    );
}

#[test]
fn every_crate_takes_the_house_rules_and_licence() {
    let files = files();
    let manifests = files.iter().filter(|file| file.path.ends_with("/Cargo.toml"));
    // A fuzz crate is a workspace of its own, as its tool wants it.
    let members = manifests.filter(|file| !file.path.ends_with("/fuzz/Cargo.toml"));
    check(members.flat_map(|file| {
        [("[lints]\nworkspace = true", "the lints"), ("license.workspace = true", "the licence")]
            .into_iter()
            .filter(|(needed, _)| !file.text.contains(needed))
            .map(|(needed, what)| format!("{}:1: {what} of the workspace is missing: {needed:?}", file.path))
            .collect::<Vec<_>>()
    }));
    let manifests = files.iter().filter(|file| file.path.ends_with("Cargo.toml"));
    check(complaints(manifests, |_, line| {
        let foreign = line.contains("git = ") || line.starts_with("[patch");
        foreign.then(|| "dependencies come from the registry, unchanged".to_owned())
    }));
}

#[test]
fn a_long_file_says_why() {
    let files = files();
    check(files.iter().filter_map(|file| {
        let is_written = [".rs", ".css", ".js"].iter().any(|ending| file.path.ends_with(ending));
        let lines = file.text.lines().count();
        let first = file.text.lines().take_while(|line| !["", "//!", "*", "*/"].contains(&line.trim()));
        let says_why = first.into_iter().any(|line| has_word(line, "long"));
        (is_written && lines > LONG && !says_why).then(|| {
            format!("{}:{LONG}: {lines} lines: split it, or say in its first paragraph why it is long", file.path)
        })
    }));
}

#[test]
fn a_word_is_not_a_part_of_one() {
    assert!(has_word("let x: f64 = 1;", "f64"));
    assert!(has_word("[f64]", "f64"));
    assert!(!has_word("let _f64x = if640;", "f64"));
}

#[test]
fn dependencies_are_found_in_every_section_and_comments_are_not_code() {
    let text = "[package]\nname = \"x\"\n\n[dependencies]\n# why\naxum.workspace = true\nserde = { version = \"1\", features = [\n    \"derive\",\n] }\n\n[target.'cfg(unix)'.dependencies]\nrustix = \"1\"\n";
    let manifest = File { path: "x/Cargo.toml".to_owned(), text: text.to_owned() };
    let names: Vec<&str> = manifest.dependencies().into_iter().map(|(_, name, _)| name).collect();
    assert_eq!(names, ["axum", "serde", "rustix"]);
    let source = File { path: "x.rs".to_owned(), text: "a // f64\nlet b = \"http://c\"; // d".to_owned() };
    let code: Vec<&str> = source.code().map(|(_, line)| line).collect();
    assert_eq!(code, ["a ", "let b = \"http://c\"; "]);
}
