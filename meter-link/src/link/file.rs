//! A recorded file as a link.

use std::path::Path;

use crate::health::LinkProblem;

pub(super) async fn open(path: &Path) -> Result<tokio::fs::File, LinkProblem> {
    tokio::fs::File::open(path).await.map_err(|error| super::problem(&error))
}
