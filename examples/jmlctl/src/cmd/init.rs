//! `init`: a small working project.

use std::fs;
use std::path::Path;

use crate::exit::{CONFIG, Failure, OK};
use crate::out::Out;

/// The files of a new project.
const FILES: [(&str, &str); 3] = [
    ("jml.toml", include_str!("../../template/jml.toml")),
    ("policy.yaml", include_str!("../../template/policy.yaml")),
    ("hr.csv", include_str!("../../template/hr.csv")),
];

pub(super) fn init(dir: &Path, json: bool, out: &Out) -> Result<u8, Failure> {
    let wrong = |what: String| Failure::new(CONFIG, what);
    if let Some((name, _)) = FILES.iter().find(|(name, _)| dir.join(name).exists()) {
        let text = format!("`{}` is there already; nothing was written", dir.join(name).display());
        return Err(wrong(text));
    }
    fs::create_dir_all(dir).map_err(|e| wrong(format!("cannot make `{}`: {e}", dir.display())))?;
    for (name, text) in FILES {
        let path = dir.join(name);
        fs::write(&path, text)
            .map_err(|e| wrong(format!("cannot write `{}`: {e}", path.display())))?;
    }
    if json {
        let names: Vec<&str> = FILES.iter().map(|(name, _)| *name).collect();
        out.json(&serde_json::json!({ "version": 1, "dir": dir, "files": names }));
    } else {
        out.line(format!("wrote a project into {}", dir.display()));
        let config = dir.join("jml.toml");
        out.line(format!("next: jmlctl --config {} plan", config.display()));
    }
    Ok(OK)
}
