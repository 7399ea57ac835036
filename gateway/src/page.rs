//! The page's files, read once into memory: nothing outside the list can be asked for, whatever the path says.

use std::collections::HashMap;
use std::path::Path;

use axum::body::Bytes;
use sha2::{Digest as _, Sha256};

/// The files of the page by their path in the address.
#[derive(Debug, Default)]
pub struct Page(HashMap<String, File>);

/// One file.
#[derive(Debug)]
pub struct File {
    /// Its media type.
    pub media_type: &'static str,
    /// Its content.
    pub content: Bytes,
    /// Changes when the content does.
    pub tag: String,
}

impl Page {
    /// Reads a folder and what is below it.
    pub fn read(folder: &Path) -> std::io::Result<Self> {
        let mut page = Self::default();
        page.read_below(folder, "/")?;
        if !page.0.contains_key("/index.html") {
            return Err(std::io::Error::new(
                std::io::ErrorKind::NotFound,
                format!("no page in {}; build it with: cargo xtask page", folder.display()),
            ));
        }
        Ok(page)
    }

    fn read_below(&mut self, folder: &Path, prefix: &str) -> std::io::Result<()> {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let path = entry.path();
            let address = format!("{prefix}{}", entry.file_name().to_string_lossy());
            if path.is_dir() {
                self.read_below(&path, &format!("{address}/"))?;
                continue;
            }
            let content = Bytes::from(std::fs::read(&path)?);
            let digest = Sha256::digest(&content);
            let tag = format!("\"{}\"", digest[..12].iter().map(|byte| format!("{byte:02x}")).collect::<String>());
            self.0.insert(address, File { media_type: media_type(&path), content, tag });
        }
        Ok(())
    }

    /// The file at a path; the page itself at `/`.
    pub fn file(&self, path: &str) -> Option<&File> {
        self.0.get(if path == "/" { "/index.html" } else { path })
    }
}

fn media_type(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("css") => "text/css; charset=utf-8",
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("json" | "webmanifest") => "application/json",
        Some("png") => "image/png",
        Some("svg") => "image/svg+xml",
        Some("wasm") => "application/wasm",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    }
}
