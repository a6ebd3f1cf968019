//! Boards: `/1/boards` and `/api/v1/boards` are two faces of the same ones.
//!
//! Owns: what a board may hold, keeping boards and their views. Never does: run the questions on them.

use crate::app::App;
use crate::compat::documents::{ANNOTATION, home};
use crate::compat::queries;
use crate::error::{Failure, Problem};
use crate::ids;
use crate::shape::{Shape, fit, may, must};
use model::time::rfc3339;
use serde_json::{Map, Value as Json, json};
use store::Document;

const KIND: &str = "board";
/// Ids of queries, annotations and SLOs.
const ID: Shape = Shape::Text { min: 1, max: 64 };
const NAME: Shape = Shape::Text { min: 1, max: 255 };
const COLUMN: Shape = Shape::Text { min: 1, max: 1_024 };
const STYLE: Shape = Shape::Word(&["graph", "table", "combo"]);
/// Bounded by a limit of the configuration, which is looked at afterwards.
const MANY: usize = usize::MAX;

const POSITION: Shape = Shape::Object(&[
    may("x_coordinate", Shape::Count),
    may("y_coordinate", Shape::Count),
    may("height", Shape::Count),
    may("width", Shape::Count),
]);

static CHART: Shape = Shape::Object(&[
    may("chart_type", Shape::Word(&["default", "line", "stacked", "stat", "tsbar", "cbar", "cpie"])),
    may("chart_index", Shape::Count),
    may("omit_missing_values", Shape::Flag),
    may("log_scale", Shape::Flag),
]);

const SETTINGS: Shape = Shape::Object(&[
    may("utc_xaxis", Shape::Flag),
    may("hide_markers", Shape::Flag),
    may("hide_hovers", Shape::Flag),
    may("hide_compare", Shape::Flag),
    may("overlaid_charts", Shape::Flag),
    may("charts", Shape::List { min: 0, max: 100, of: &CHART }),
]);

static PANEL: Shape = Shape::Object(&[
    must("type", Shape::Word(&["query", "slo", "text"])),
    may("position", POSITION),
    may(
        "query_panel",
        Shape::Object(&[
            must("query_id", ID),
            must("query_annotation_id", ID),
            may("dataset", Shape::Text { min: 0, max: 255 }),
            may("query_style", STYLE),
            may("visualization_settings", SETTINGS),
        ]),
    ),
    may("slo_panel", Shape::Object(&[must("slo_id", ID)])),
    may("text_panel", Shape::Object(&[must("content", Shape::Text { min: 0, max: 10_000 })])),
]);

/// Of a classic board.
static QUERY: Shape = Shape::Object(&[
    must("query_id", ID),
    may("query_annotation_id", ID),
    may("dataset", Shape::Text { min: 0, max: 255 }),
    may("caption", Shape::Text { min: 0, max: 1_024 }),
    may("query_style", STYLE),
    may(
        "graph_settings",
        Shape::Object(&[
            may("omit_missing_values", Shape::Flag),
            may("stacked_graphs", Shape::Flag),
            may("log_scale", Shape::Flag),
            may("utc_xaxis", Shape::Flag),
            may("hide_markers", Shape::Flag),
            may("overlaid_charts", Shape::Flag),
        ]),
    ),
    may("visualization_settings", SETTINGS),
]);

static TAG: Shape = Shape::Object(&[
    must("key", Shape::Formed(tag_key, "1 to 32 lower-case letters")),
    must("value", Shape::Formed(tag_value, "a lower-case letter and then 1 to 128 of a-z, 0-9, / and -")),
]);

static PRESET_FILTER: Shape = Shape::Object(&[must("column", COLUMN), must("alias", Shape::Text { min: 1, max: 50 })]);

static SLO_ID: Shape = ID;

static BOARD: Shape = Shape::Object(&[
    must("name", NAME),
    may("description", Shape::Text { min: 0, max: 1_024 }),
    may("type", Shape::Word(&["flexible", "classic"])),
    may("layout_generation", Shape::Word(&["manual", "auto"])),
    may("panels", Shape::List { min: 0, max: MANY, of: &PANEL }),
    may("tags", Shape::List { min: 0, max: 10, of: &TAG }),
    may("preset_filters", Shape::List { min: 0, max: 5, of: &PRESET_FILTER }),
    // Classic boards.
    may("style", Shape::Word(&["visual", "list"])),
    may("column_layout", Shape::Word(&["multi", "single"])),
    may("queries", Shape::List { min: 0, max: MANY, of: &QUERY }),
    may("slos", Shape::List { min: 0, max: MANY, of: &SLO_ID }),
]);

static VIEW: Shape = Shape::Object(&[must("name", NAME), must("filters", Shape::List { min: 1, max: 100, of: &VIEW_FILTER })]);

static VIEW_FILTER: Shape = Shape::Object(&[
    must("column", COLUMN),
    must(
        "operation",
        Shape::Word(&[
            "=",
            "!=",
            ">",
            ">=",
            "<",
            "<=",
            "starts-with",
            "does-not-start-with",
            "ends-with",
            "does-not-end-with",
            "exists",
            "does-not-exist",
            "contains",
            "does-not-contain",
            "in",
            "not-in",
        ]),
    ),
    may("value", Shape::Any),
]);

fn tag_key(key: &str) -> bool {
    (1..=32).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_lowercase())
}

fn tag_value(value: &str) -> bool {
    let later = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'/' || b == b'-';
    (2..=129).contains(&value.len()) && value.as_bytes()[0].is_ascii_lowercase() && value.bytes().all(later)
}

fn invalid(field: impl Into<String>, description: impl Into<String>) -> Problem {
    Problem { field: field.into(), code: "invalid", description: description.into() }
}

/// A sent object in its shape.
fn taken(shape: &Shape, sent: &Json, problems: &mut Vec<Problem>) -> Map<String, Json> {
    match fit(shape, sent, "", problems) {
        Json::Object(map) => map,
        _ => Map::new(),
    }
}

fn done<T>(value: T, problems: Vec<Problem>) -> Result<T, Failure> {
    if problems.is_empty() { Ok(value) } else { Err(Failure::problems(problems)) }
}

impl App {
    /// A board as it is to be kept.
    fn board(&self, sent: &Json) -> Result<Map<String, Json>, Failure> {
        let mut problems = Vec::new();
        let mut board = taken(&BOARD, sent, &mut problems);
        if !problems.is_empty() {
            return Err(Failure::problems(problems));
        }
        let max = self.settings.limits.board_panels_max;
        for list in ["panels", "queries", "slos"] {
            if board.get(list).and_then(Json::as_array).is_some_and(|l| l.len() > max) {
                problems.push(invalid(list, format!("must be at most {max} (limits.board_panels_max)")));
            }
        }
        if problems.is_empty() {
            let kind = if board.contains_key("queries") && !board.contains_key("panels") { "classic" } else { "flexible" };
            board.entry("type").or_insert_with(|| kind.into());
            for (i, panel) in board.get_mut("panels").and_then(Json::as_array_mut).into_iter().flatten().enumerate() {
                self.panel(panel, &format!("panels[{i}]"), &mut problems)?;
            }
            for (i, query) in board.get_mut("queries").and_then(Json::as_array_mut).into_iter().flatten().enumerate() {
                self.place_query(query, &format!("queries[{i}]"), &mut problems)?;
            }
        }
        done(board, problems)
    }

    fn panel(&self, panel: &mut Json, at: &str, problems: &mut Vec<Problem>) -> Result<(), Failure> {
        let kind = panel["type"].as_str().unwrap_or_default().to_owned();
        let Some(parts) = panel.as_object_mut() else { return Ok(()) };
        let content = format!("{kind}_panel");
        parts.retain(|name, _| !name.ends_with("_panel") || *name == content);
        match parts.get_mut(&content) {
            None => {
                problems.push(Problem { field: format!("{at}.{content}"), code: "missing", description: "is missing".to_owned() });
                Ok(())
            }
            Some(query) if kind == "query" => self.place_query(query, &format!("{at}.{content}"), problems),
            Some(_) => Ok(()),
        }
    }

    /// Checks that the query of a panel and its annotation exist, and writes into the panel which dataset they are of.
    fn place_query(&self, panel: &mut Json, at: &str, problems: &mut Vec<Problem>) -> Result<(), Failure> {
        let text = |name: &str| panel[name].as_str().unwrap_or_default().to_owned();
        let (query, annotation, dataset) = (text("query_id"), text("query_annotation_id"), text("dataset"));
        let mut homes: Vec<String> = self.store.documents_by_id(queries::KIND, &query)?.into_iter().map(|d| d.dataset).collect();
        if !dataset.is_empty() {
            match home(self, &dataset) {
                Ok(home) => homes.retain(|h| *h == home),
                Err(_) => {
                    problems.push(invalid(format!("{at}.dataset"), format!("is no dataset, name='{dataset}'")));
                    return Ok(());
                }
            }
        }
        if homes.is_empty() {
            let of = if dataset.is_empty() { String::new() } else { format!(" of dataset '{dataset}'") };
            problems.push(invalid(format!("{at}.query_id"), format!("is no query{of}, id='{query}'")));
            return Ok(());
        }
        if !annotation.is_empty() {
            let found = self.store.documents_by_id(ANNOTATION.name(), &annotation)?;
            let Some(found) = found.into_iter().find(|d| d.body["query_id"] == query.as_str()) else {
                let description = format!("is no annotation of this query, id='{annotation}', query_id='{query}'");
                problems.push(invalid(format!("{at}.query_annotation_id"), description));
                return Ok(());
            };
            // The same query may have been saved for several datasets.
            if homes.contains(&found.dataset) {
                homes = vec![found.dataset];
            }
        }
        if let (true, Some(of)) = (dataset.is_empty(), homes.first().and_then(|h| self.store.dataset_by_slug(h))) {
            panel["dataset"] = of.name.into();
        }
        Ok(())
    }

    fn board_document(&self, id: &str) -> Result<Map<String, Json>, Failure> {
        match self.store.document(KIND, "", id)?.map(|d| d.body) {
            Some(Json::Object(body)) => Ok(body),
            _ => Err(Failure::not_found(format!("no such board, id='{id}'"))),
        }
    }

    /// All boards, oldest first.
    pub(crate) fn boards(&self, base_url: &str) -> Result<Vec<Json>, Failure> {
        let mut all: Vec<Document> = self.store.documents(KIND, "")?;
        all.sort_by(|a, b| a.body["created_at"].as_str().cmp(&b.body["created_at"].as_str()));
        Ok(all.into_iter().map(|d| shown(&d.id, d.body.as_object().cloned().unwrap_or_default(), base_url)).collect())
    }

    pub(crate) fn get_board(&self, id: &str, base_url: &str) -> Result<Json, Failure> {
        Ok(shown(id, self.board_document(id)?, base_url))
    }

    pub(crate) fn create_board(&self, sent: &Json, base_url: &str) -> Result<Json, Failure> {
        let mut board = self.board(sent)?;
        let _one_at_a_time = self.boards_lock.lock();
        let max = self.settings.limits.boards_max;
        if self.store.documents(KIND, "")?.len() >= max {
            return Err(Failure::invalid(format!("there are {max} boards, which is limits.boards_max; delete one first")));
        }
        let (id, at) = (ids::random(), rfc3339(crate::time::now()));
        board.insert("created_at".into(), at.as_str().into());
        board.insert("updated_at".into(), at.into());
        self.store.put_document(KIND, "", &id, &Json::Object(board.clone()))?;
        Ok(shown(&id, board, base_url))
    }

    /// Replaces a board. Preset filters that are not sent stay, as Honeycomb does it; so do views.
    pub(crate) fn update_board(&self, id: &str, sent: &Json, base_url: &str) -> Result<Json, Failure> {
        self.board_document(id)?;
        let mut board = self.board(sent)?;
        let _one_at_a_time = self.boards_lock.lock();
        let mut before = self.board_document(id)?;
        for kept in ["created_at", "views"] {
            if let Some(value) = before.remove(kept) {
                board.insert(kept.into(), value);
            }
        }
        if let (false, Some(filters)) = (board.contains_key("preset_filters"), before.remove("preset_filters")) {
            board.insert("preset_filters".into(), filters);
        }
        board.insert("updated_at".into(), rfc3339(crate::time::now()).into());
        self.store.put_document(KIND, "", id, &Json::Object(board.clone()))?;
        Ok(shown(id, board, base_url))
    }

    pub(crate) fn delete_board(&self, id: &str) -> Result<(), Failure> {
        let _one_at_a_time = self.boards_lock.lock();
        if self.store.delete_document(KIND, "", id)? { Ok(()) } else { Err(Failure::not_found(format!("no such board, id='{id}'"))) }
    }

    pub(crate) fn board_views(&self, board: &str) -> Result<Vec<Json>, Failure> {
        match self.board_document(board)?.remove("views") {
            Some(Json::Array(views)) => Ok(views),
            _ => Ok(Vec::new()),
        }
    }

    pub(crate) fn board_view(&self, board: &str, id: &str) -> Result<Json, Failure> {
        self.board_views(board)?.into_iter().find(|v| v["id"] == id).ok_or_else(|| no_view(id))
    }

    pub(crate) fn create_board_view(&self, board: &str, sent: &Json) -> Result<Json, Failure> {
        let max = self.settings.limits.board_views_max;
        self.change_views(board, |views| {
            let view = view(&ids::random(), sent)?;
            if views.len() >= max {
                return Err(Failure::invalid(format!("the board has {max} views, which is limits.board_views_max; delete one first")));
            }
            views.push(view.clone());
            Ok(view)
        })
    }

    pub(crate) fn update_board_view(&self, board: &str, id: &str, sent: &Json) -> Result<Json, Failure> {
        self.change_views(board, |views| {
            let slot = views.iter_mut().find(|v| v["id"] == id).ok_or_else(|| no_view(id))?;
            *slot = view(id, sent)?;
            Ok(slot.clone())
        })
    }

    pub(crate) fn delete_board_view(&self, board: &str, id: &str) -> Result<(), Failure> {
        self.change_views(board, |views| {
            let before = views.len();
            views.retain(|v| v["id"] != id);
            if views.len() < before { Ok(()) } else { Err(no_view(id)) }
        })
    }

    fn change_views<T>(&self, board: &str, change: impl FnOnce(&mut Vec<Json>) -> Result<T, Failure>) -> Result<T, Failure> {
        let _one_at_a_time = self.boards_lock.lock();
        let mut body = self.board_document(board)?;
        let mut views = match body.remove("views") {
            Some(Json::Array(views)) => views,
            _ => Vec::new(),
        };
        let changed = change(&mut views)?;
        body.insert("views".into(), views.into());
        self.store.put_document(KIND, "", board, &Json::Object(body))?;
        Ok(changed)
    }
}

fn no_view(id: &str) -> Failure {
    Failure::not_found(format!("no such board view, id='{id}'"))
}

fn view(id: &str, sent: &Json) -> Result<Json, Failure> {
    let mut problems = Vec::new();
    let mut view = taken(&VIEW, sent, &mut problems);
    for (i, filter) in view.get("filters").and_then(Json::as_array).into_iter().flatten().enumerate() {
        let value = &filter["value"];
        let (fits, expected) = match filter["operation"].as_str() {
            None => continue,
            Some("exists" | "does-not-exist") => (value.is_null(), "must be left out: the operation takes none"),
            Some("in" | "not-in") => (value.is_array(), "must be a list"),
            Some(_) => (value.is_string() || value.is_number() || value.is_boolean(), "must be a text, a number, true or false"),
        };
        if !fits {
            problems.push(invalid(format!("filters[{i}].value"), expected));
        }
    }
    view.insert("id".into(), id.into());
    done(Json::Object(view), problems)
}

/// A board as it is answered.
fn shown(id: &str, mut body: Map<String, Json>, base_url: &str) -> Json {
    body.remove("views");
    body.insert("id".into(), id.into());
    body.insert("links".into(), json!({ "board_url": format!("{base_url}/boards/{id}") }));
    Json::Object(body)
}

#[cfg(test)]
mod tests {
    use super::{BOARD, tag_key, tag_value, taken, view};
    use serde_json::{Value as Json, json};

    fn problems(board: Json) -> Vec<String> {
        let mut problems = Vec::new();
        taken(&BOARD, &board, &mut problems);
        problems.into_iter().map(|p| format!("{} {}", p.code, p.field)).collect()
    }

    #[test]
    fn what_go_clients_send_fits() {
        let board = json!({ "name": "b", "type": "flexible", "links": {}, "queries": null, "slos": null, "tags": null,
            "panels": [{ "type": "slo", "position": { "x_coordinate": 0, "y_coordinate": 0, "height": 0, "width": 0 }, "slo_panel": { "slo_id": "x" } }] });
        assert_eq!(problems(board), Vec::<String>::new());
    }

    #[test]
    fn wrong_parts_are_named() {
        let board = json!({ "type": "odd", "tags": [{ "key": "A", "value": "b1" }], "preset_filters": [1, 2, 3, 4, 5, 6],
            "panels": [{ "type": "query", "query_panel": { "query_style": "pie" }, "position": { "height": -1 } }] });
        assert_eq!(
            problems(board),
            [
                "missing name",
                "invalid type",
                "invalid panels[0].position.height",
                "missing panels[0].query_panel.query_id",
                "missing panels[0].query_panel.query_annotation_id",
                "invalid panels[0].query_panel.query_style",
                "invalid tags[0].key",
                "invalid preset_filters",
            ]
        );
    }

    #[test]
    fn tags_have_their_alphabets() {
        assert!(tag_key("team") && !tag_key("") && !tag_key("Team") && !tag_key("a1") && !tag_key(&"a".repeat(33)));
        assert!(tag_value("a1/b-c") && !tag_value("a") && !tag_value("1a") && !tag_value("a_b") && !tag_value(&"a".repeat(130)));
    }

    #[test]
    fn a_view_has_values_where_operations_take_them() {
        let with = |operation: &str, value: Json| {
            view("v", &json!({ "name": "n", "filters": [{ "column": "c", "operation": operation, "value": value }] })).is_ok()
        };
        assert!(with("=", json!(1)) && with("exists", Json::Null) && with("in", json!(["a"])) && with("contains", json!("x")));
        assert!(
            !with("=", Json::Null) && !with("exists", json!(1)) && !with("in", json!("a")) && !with("=", json!({})) && !with("~", json!(1))
        );
        assert!(view("v", &json!({ "name": "n", "filters": [] })).is_err());
    }
}
