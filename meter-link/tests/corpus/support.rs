//! Where the corpus lies, and its cases.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// The cases of a family, sorted. `None`, and a line that says so, where the corpus is not beside the project.
pub(crate) fn cases(family: &str) -> Option<Vec<PathBuf>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus").join(family);
    let Ok(entries) = std::fs::read_dir(&folder) else {
        println!("{family}: not run: the corpus is not beside the project");
        return None;
    };
    let mut cases: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .filter(|path| !path.to_string_lossy().ends_with(".payload.json"))
        .collect();
    cases.sort();
    Some(cases)
}

pub(crate) fn json(path: &Path) -> Result<Value, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    serde_json::from_str(&text).map_err(|error| error.to_string())
}
