//! Where the corpus lies, its cases, and what became of them: a line for each family, and one for each case that gives
//! nothing.

use std::path::{Path, PathBuf};

use meter_link::decoder::Decoder;
use meter_link::error::DecodeError;
use meter_link::reading::Reading;
use meter_link::security::KeyPair;
use serde_json::Value;

/// A case: its description and its bytes.
pub(crate) struct Case {
    pub(crate) description: Value,
    pub(crate) bytes: Vec<u8>,
    pub(crate) folder: PathBuf,
}

/// What became of a case that is not wrong.
pub(crate) enum Outcome {
    /// Nothing can be read, and nothing was: why.
    Nothing(String),
    /// So many values were compared.
    Right(usize),
}

/// The cases of a family, sorted. `None`, and a line that says so, where the corpus is not beside the project.
pub(crate) fn cases(family: &str) -> Option<Vec<PathBuf>> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus");
    let folder = std::env::var_os("WATTLE_CORPUS").map_or(beside, PathBuf::from).join(family);
    let Ok(entries) = std::fs::read_dir(folder) else {
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

/// Judges every case of a family, where the corpus is there, and prints what became of them.
pub(crate) fn judge_all(family: &str, judge: impl Fn(&Case) -> Result<Outcome, String>) {
    let Some(paths) = cases(family) else { return };
    let (mut right, mut values, mut nothing, mut wrong) = (0, 0, Vec::new(), Vec::new());
    for path in &paths {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        match read(path).and_then(|case| judge(&case)) {
            Ok(Outcome::Nothing(why)) => nothing.push(format!("{name}: {why}")),
            Ok(Outcome::Right(count)) => (right, values) = (right + 1, values + count),
            Err(reason) => wrong.push(format!("{name}: {reason}")),
        }
    }
    println!(
        "{family:<12} {:>3} cases, {right:>3} right ({values} values), {} wrong, {} not decodable",
        paths.len(),
        wrong.len(),
        nothing.len(),
    );
    nothing.iter().for_each(|line| println!("    {line}"));
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn read(path: &Path) -> Result<Case, String> {
    let description = json(path)?;
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    let file = folder.join(description["data_file"].as_str().unwrap_or_default());
    let bytes = std::fs::read(file).map_err(|error| error.to_string())?;
    Ok(Case { description, bytes, folder })
}

pub(crate) fn json(path: &Path) -> Result<Value, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    serde_json::from_str(&text).map_err(|error| error.to_string())
}

/// What the decoder that is told nothing but the keys makes of a recording.
pub(crate) fn decode(keys: &[KeyPair], bytes: &[u8]) -> Vec<Result<Reading, DecodeError>> {
    decode_in(&mut Decoder::new(keys, &[]), bytes)
}

/// The same in this decoder.
pub(crate) fn decode_in(decoder: &mut Decoder, mut bytes: &[u8]) -> Vec<Result<Reading, DecodeError>> {
    let mut results = Vec::new();
    while !bytes.is_empty() {
        let taken = decoder.handle_bytes(bytes);
        bytes = &bytes[taken..];
        results.extend(std::iter::from_fn(|| decoder.poll_reading()));
    }
    decoder.handle_end();
    results.extend(std::iter::from_fn(|| decoder.poll_reading()));
    results
}

/// Why a recording gave no reading.
pub(crate) fn why(results: &[Result<Reading, DecodeError>]) -> String {
    let mut errors = results.iter().filter_map(|result| result.as_ref().err());
    // What other protocols made of the first bytes comes first.
    errors.next_back().map_or("no whole frame".to_owned(), ToString::to_string)
}
