//! The reference page of the settings, written from their definitions.
//!
//! Owns: docs/reference/config.md (a test fails when the committed page differs). Never does: parse settings.

use super::{KEYS, Settings, env_name, limit_text, limits_json};
use model::Limits;

/// Where the limits are defined: their comments are the text of the page.
const LIMITS_SOURCE: &str = include_str!("../../../model/src/limits.rs");

/// A setting as a flag of the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flag {
    /// Without `--`.
    pub name: String,
    /// What it does.
    pub text: String,
    /// What holds without it.
    pub default: String,
}

/// All settings, as flags.
#[must_use]
pub fn flags() -> Vec<Flag> {
    let defaults = Settings::default();
    let keys = KEYS.iter().map(|key| Flag { name: key.name.replace('_', "-"), text: key.text.to_owned(), default: (key.get)(&defaults) });
    let limits = limits_json(&Limits::default());
    let limits = limits.iter().map(|(name, value)| Flag {
        name: format!("limits.{name}").replace('_', "-"),
        text: limit_comment(name),
        default: limit_text(name, value),
    });
    keys.chain(limits).collect()
}

/// The page docs/reference/config.md.
#[must_use]
pub fn reference() -> String {
    let mut page = String::from(
        "# Settings\n\n\
         Generated from `crates/server/src/settings.rs` and `crates/model/src/limits.rs`; do not edit.\n\n\
         Each setting is a flag of `wideye serve`, an environment variable, and a key of the TOML file that\n\
         `wideye serve --config FILE` names. A flag wins over the environment, the environment over the file,\n\
         the file over the default. Unknown flags and keys are errors; unknown `WIDEYE_` variables are named at start.\n\
         Sizes are written like `64MiB`, times like `500ms`, `30s` or `7d`.\n\n\
         | key | flag | environment | default | |\n|---|---|---|---|---|\n",
    );
    let defaults = Settings::default();
    for key in KEYS {
        row(&mut page, key.name, &(key.get)(&defaults), key.text);
    }
    page.push_str(
        "\n## Limits\n\nThe section `[limits]` of the file. What happens beyond each: [limits.md](../limits.md).\n\n\
         | key | flag | environment | default | |\n|---|---|---|---|---|\n",
    );
    for (name, value) in limits_json(&Limits::default()) {
        row(&mut page, &format!("limits.{name}"), &limit_text(&name, &value), &limit_comment(&name));
    }
    page.push_str(
        "\n## Example\n\n```toml\nlisten = \"0.0.0.0:8080\"\notlp_grpc_listen = \"0.0.0.0:4317\"\ndata_dir = \"/var/lib/wideye\"\n\n\
         [limits]\nrequest_bytes_max = \"32MiB\"\nquestion_seconds_max = \"2m\"\n```\n",
    );
    page
}

fn row(page: &mut String, name: &str, default: &str, text: &str) {
    let default = if default.is_empty() { "(empty)".to_owned() } else { format!("`{default}`") };
    page.push_str(&format!("| `{name}` | `--{}` | `{}` | {default} | {text} |\n", name.replace('_', "-"), env_name(name)));
}

/// The comment above a field of `Limits`.
fn limit_comment(name: &str) -> String {
    let field = format!("pub {name}: ");
    let mut comment: Vec<&str> = Vec::new();
    for line in LIMITS_SOURCE.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("///") {
            comment.push(text.trim());
        } else if line.starts_with(&field) {
            return comment.join(" ");
        } else {
            comment.clear();
        }
    }
    String::new()
}
