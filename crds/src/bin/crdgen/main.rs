//! Writes the kinds' definitions for an API server, one file each, into the directory that is named; called by `make crds`.

mod render;

use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(directory) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: crdgen DIRECTORY");
        return ExitCode::from(2);
    };
    match render::files().and_then(|files| write(&directory, files)) {
        Ok(count) => {
            println!("{count} files in {}", directory.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("crdgen: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write(directory: &std::path::Path, files: Vec<(String, String)>) -> Result<usize, Box<dyn std::error::Error>> {
    std::fs::create_dir_all(directory)?;
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let known = files.iter().any(|(name, _)| path.file_name().is_some_and(|file| file == name.as_str()));
        if !known && path.extension().is_some_and(|extension| extension == "yaml") {
            std::fs::remove_file(path)?;
        }
    }
    for (name, text) in &files {
        std::fs::write(directory.join(name), text)?;
    }
    Ok(files.len())
}
