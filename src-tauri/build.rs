//! Makes the window's configuration, icons and page part of the program.

fn main() {
    tauri_build::build();
}
