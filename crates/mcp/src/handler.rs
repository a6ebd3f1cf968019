//! The protocol's side: what the server says of itself, its tools, and a call of one of them.
//!
//! Owns: the SDK's handler. Never does: what a tool does.

use crate::Api;
use crate::tools::{self, Context};
use model::Limits;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, Implementation, ListToolsResult, PaginatedRequestParams,
    ServerCapabilities, ServerConfig, Tool, ToolAnnotations,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler};
use std::sync::Arc;

const INSTRUCTIONS: &str = "\
wideye stores wide events (spans, logs, metrics; one row each, hundreds of columns) and answers any question about them. Read-only. \
A way to go: list_datasets; list_columns with `matching` to find names, list_values to find values; query to count, group and see \
percentiles; contrast to hear what is different about the bad events over every column, instead of guessing breakdowns; \
trace for one request; markers for what was deployed when. Without a time, questions cover the last 2 hours. Counts are weighted by sample rate.";

/// The tools over one way to the API.
#[derive(Clone, Debug)]
pub struct Tools {
    context: Context,
}

impl Tools {
    /// Tools that call this API; `now_s` is the time in Unix seconds.
    #[must_use]
    pub fn new(api: Arc<dyn Api>, limits: &Limits, now_s: fn() -> f64) -> Tools {
        Tools { context: Context { api, chars_max: limits.mcp_answer_chars_max, now_s } }
    }
}

fn listed(tool: &tools::Tool) -> Tool {
    let annotations = ToolAnnotations::with_title(tool.title).read_only(true).destructive(false).idempotent(true).open_world(false);
    Tool::new(tool.name, tool.description, Arc::new(tool.schema())).with_title(tool.title).annotate(annotations)
}

impl ServerHandler for Tools {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("wideye", env!("CARGO_PKG_VERSION")))
            .with_instructions(INSTRUCTIONS)
    }

    async fn list_tools(&self, _: Option<PaginatedRequestParams>, _: RequestContext<RoleServer>) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(tools::ALL.iter().map(listed).collect()))
    }

    async fn call_tool(&self, request: CallToolRequestParams, context: RequestContext<RoleServer>) -> Result<CallToolResponse, ErrorData> {
        let Some(tool) = tools::find(&request.name) else {
            let names: Vec<&str> = tools::ALL.iter().map(|t| t.name).collect();
            return Err(ErrorData::invalid_params(format!("no such tool, name='{}'; there are {}", request.name, names.join(", ")), None));
        };
        let work = tools::run(tool, request.arguments.unwrap_or_default(), &self.context);
        let outcome = tokio::select! {
            outcome = work => outcome,
            // Nobody waits any more: dropping the work ends the question.
            () = context.ct.cancelled() => return Err(ErrorData::internal_error("the call was cancelled", None)),
        };
        let result = match outcome {
            Ok(text) => CallToolResult::success(vec![ContentBlock::text(text)]),
            Err(error) => CallToolResult::error(vec![ContentBlock::text(error.to_string())]),
        };
        Ok(result.into())
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        tools::find(name).map(listed)
    }
}
