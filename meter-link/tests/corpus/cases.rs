//! The cases of one family: each file with its expectation, judged one by one.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// Judges every case of a family, where the corpus is there. `judge` gives how many values were compared.
pub(crate) fn run(family: &str, judge: impl Fn(&Value, &[u8]) -> Result<usize, String>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus").join(family);
    let Ok(entries) = std::fs::read_dir(&folder) else {
        println!("not run: the corpus is not beside the project");
        return;
    };
    let mut cases: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    cases.sort();
    let mut wrong = Vec::new();
    for path in &cases {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        match read(&folder, path).and_then(|(case, bytes)| judge(&case, &bytes)) {
            Ok(right) => println!("{name}: {right} of {right}"),
            Err(reason) => wrong.push(format!("{name}: {reason}")),
        }
    }
    println!("{} of {} cases right", cases.len() - wrong.len(), cases.len());
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn read(folder: &Path, path: &Path) -> Result<(Value, Vec<u8>), String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let case: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let file = folder.join(case["data_file"].as_str().unwrap_or_default());
    Ok((case, std::fs::read(file).map_err(|error| error.to_string())?))
}
