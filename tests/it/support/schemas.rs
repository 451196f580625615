//! Profile schemas of operators, as files.

use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;

/// A schema file in a folder of its own.
pub(crate) struct SchemaFile {
    folder: TempDir,
}

impl SchemaFile {
    /// The file of a closed schema with these fields.
    pub(crate) fn of(properties: Value) -> Self {
        let file = Self { folder: tempfile::tempdir().unwrap() };
        let mut schema = json!({ "type": "object", "additionalProperties": false });
        schema["properties"] = properties;
        file.write(&schema);
        file
    }

    /// Puts another schema in its place.
    pub(crate) fn write(&self, schema: &Value) {
        std::fs::write(self.path(), schema.to_string()).unwrap();
    }

    /// Where it is.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("profile.json")
    }

    /// The same as a text, for `PROFILE__SCHEMA`.
    pub(crate) fn text(&self) -> String {
        self.path().to_str().unwrap().to_owned()
    }
}
