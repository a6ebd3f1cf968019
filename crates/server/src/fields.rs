//! Saved calculated fields: `/1/derived_columns` and `/api/v1/calculated-fields` are two faces of the same ones.
//!
//! Owns: saving, changing and deleting them, and that the engine knows them all. Never does: evaluate.

use crate::app::App;
use crate::ask::ALL;
use crate::compat::documents::home;
use crate::error::Failure;
use crate::ids;
use engine::SavedField;
use model::ErrorKind;
use model::time::rfc3339;
use serde_json::{Value as Json, json};
use store::{Document, Store, StoreError};

const KIND: &str = "derived_column";
const NAME_CHARS_MAX: usize = 255;
const DESCRIPTION_CHARS_MAX: usize = 255;

/// What is wanted of a field; what is absent stays or is empty.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) name: Option<String>,
    pub(crate) expression: Option<String>,
    pub(crate) description: Option<String>,
}

/// A saved field.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) id: String,
    /// The dataset's slug, or empty.
    pub(crate) home: String,
    pub(crate) name: String,
    pub(crate) expression: String,
    pub(crate) description: String,
    pub(crate) created_at: String,
    pub(crate) updated_at: String,
}

impl Field {
    fn read(d: Document) -> Field {
        let text = |name: &str| d.body[name].as_str().unwrap_or_default().to_owned();
        let (name, expression, description) = (text("alias"), text("expression"), text("description"));
        let (created_at, updated_at) = (text("created_at"), text("updated_at"));
        Field { name, expression, description, created_at, updated_at, id: d.id, home: d.dataset }
    }

    /// As Honeycomb shows it.
    pub(crate) fn derived_column(&self) -> Json {
        json!({
            "id": self.id, "alias": self.name, "expression": self.expression, "description": self.description,
            "created_at": self.created_at, "updated_at": self.updated_at,
        })
    }

    /// As the native API shows it.
    pub(crate) fn native(&self) -> Json {
        let dataset = if self.home.is_empty() { ALL } else { &self.home };
        json!({
            "id": self.id, "dataset": dataset, "name": self.name, "expression": self.expression, "description": self.description,
            "created_at": self.created_at, "updated_at": self.updated_at,
        })
    }
}

/// All saved fields, for the engine.
pub(crate) fn saved(store: &Store) -> Result<Vec<SavedField>, StoreError> {
    let all = store.documents_of_kind(KIND)?.into_iter().map(Field::read);
    let field = |f: Field| SavedField { dataset: (!f.home.is_empty()).then_some(f.home), name: f.name, expression: f.expression };
    Ok(all.map(field).collect())
}

impl App {
    /// Tells the engine which fields there are now.
    pub(crate) fn tell_fields(&self) -> Result<(), Failure> {
        self.engine.set_calculated_fields(saved(&self.store)?);
        Ok(())
    }

    /// The fields of a dataset (or of all together, `__all__`), by name.
    pub(crate) fn fields(&self, dataset: &str) -> Result<Vec<Field>, Failure> {
        let mut all: Vec<Field> = self.store.documents(KIND, &home(self, dataset)?)?.into_iter().map(Field::read).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    /// One field of a dataset.
    pub(crate) fn field(&self, dataset: &str, id: &str) -> Result<Field, Failure> {
        match self.store.document(KIND, &home(self, dataset)?, id)? {
            Some(d) => Ok(Field::read(d)),
            None => Err(missing(id)),
        }
    }

    /// One field, wherever it is; and the name of its dataset.
    pub(crate) fn field_anywhere(&self, id: &str) -> Result<(Field, String), Failure> {
        let found = self.store.documents_of_kind(KIND)?.into_iter().find(|d| d.id == id).map(Field::read);
        let field = found.ok_or_else(|| missing(id))?;
        let dataset = if field.home.is_empty() { ALL.to_owned() } else { field.home.clone() };
        Ok((field, dataset))
    }

    pub(crate) fn create_field(&self, dataset: &str, wanted: Wanted) -> Result<Field, Failure> {
        let home = home(self, dataset)?;
        let _one_at_a_time = self.fields_lock.lock();
        let at = rfc3339(crate::time::now());
        let field = Field {
            id: ids::random(),
            home,
            name: wanted.name.unwrap_or_default(),
            expression: wanted.expression.unwrap_or_default(),
            description: wanted.description.unwrap_or_default(),
            created_at: at.clone(),
            updated_at: at,
        };
        self.check_field(dataset, &field)?;
        self.put_field(&field)?;
        Ok(field)
    }

    pub(crate) fn update_field(&self, dataset: &str, id: &str, wanted: Wanted) -> Result<Field, Failure> {
        let _one_at_a_time = self.fields_lock.lock();
        let before = self.field(dataset, id)?;
        let mut field = before.clone();
        field.name = wanted.name.unwrap_or(field.name);
        field.expression = wanted.expression.unwrap_or(field.expression);
        field.description = wanted.description.unwrap_or(field.description);
        field.updated_at = rfc3339(crate::time::now());
        if field.name != before.name {
            self.check_unused(&before)?;
        }
        self.check_field(dataset, &field)?;
        self.put_field(&field)?;
        Ok(field)
    }

    pub(crate) fn delete_field(&self, dataset: &str, id: &str) -> Result<(), Failure> {
        let _one_at_a_time = self.fields_lock.lock();
        let field = self.field(dataset, id)?;
        self.check_unused(&field)?;
        self.store.delete_document(KIND, &field.home, id)?;
        self.tell_fields()
    }

    fn put_field(&self, field: &Field) -> Result<(), Failure> {
        let mut body = field.derived_column();
        if let Some(body) = body.as_object_mut() {
            body.remove("id");
        }
        self.store.put_document(KIND, &field.home, &field.id, &body)?;
        self.tell_fields()
    }

    fn check_field(&self, dataset: &str, field: &Field) -> Result<(), Failure> {
        let chars = field.name.chars().count();
        if chars == 0 || chars > NAME_CHARS_MAX {
            return Err(Failure::invalid(format!("the name must be a text of 1 to {NAME_CHARS_MAX} characters")));
        }
        if field.description.chars().count() > DESCRIPTION_CHARS_MAX {
            return Err(Failure::invalid(format!("description must be a text of at most {DESCRIPTION_CHARS_MAX} characters")));
        }
        let scope = crate::compat::scope(self, dataset);
        let taken = |d: &Document| d.id != field.id && d.body["alias"] == field.name.as_str();
        if self.store.documents(KIND, &field.home)?.iter().any(taken) {
            let message = format!("there is a calculated field of this name, name='{}'", field.name);
            return Err(Failure::new(ErrorKind::Conflict, message));
        }
        if self.store.has_column(&scope, &field.name) {
            let message = format!("there is a column of this name, name='{}'; choose another", field.name);
            return Err(Failure::new(ErrorKind::Conflict, message));
        }
        Ok(self.engine.check_calculated_field(&scope, &field.name, &field.expression)?)
    }

    /// Nothing else must stand on a field that goes.
    fn check_unused(&self, field: &Field) -> Result<(), Failure> {
        for d in self.store.documents_of_kind(KIND)? {
            let other = Field::read(d);
            // A field of one dataset cannot be seen from another.
            if other.id == field.id || !(field.home.is_empty() || other.home == field.home) {
                continue;
            }
            let parsed = expr::parse(&other.expression, &self.settings.limits);
            if parsed.is_ok_and(|e| e.columns().iter().any(|(c, _)| **c == *field.name)) {
                let message = format!("the calculated field '{}' uses it; change that one first", other.name);
                return Err(Failure::new(ErrorKind::Conflict, message));
            }
        }
        Ok(())
    }
}

fn missing(id: &str) -> Failure {
    Failure::not_found(format!("no such calculated field, id='{id}'"))
}
