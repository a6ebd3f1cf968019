//! Jaeger's JSON query API, so that its front ends and tools read from here (docs/jaeger.md).
//!
//! Owns: its routes. Never does: ask questions (`search`), turn events into spans (`convert`), know the JSON (`wire`).

mod convert;
mod params;
mod search;
mod tags;
mod wire;

use crate::auth::Scope;
use crate::error::{Failure, Form};
use crate::route::{Answer, Call, Family, Routes, family, json_by_engine, json_bytes};
use axum::body::Body;
use axum::http::Method;
use params::Params;
use search::Reader;
use std::collections::BTreeSet;
use wire::{Envelope, Missing, OperationsV3, ServicesV3};

const READ: Family = family(Form::Jaeger, Some(Scope::Query));

pub(crate) use wire::failure;

pub(crate) fn routes(routes: Routes) -> Routes {
    let get = Method::GET;
    routes
        .add(READ, get.clone(), "/api/services", services)
        .add(READ, get.clone(), "/api/services/{service}/operations", operation_names)
        .add(READ, get.clone(), "/api/operations", operations)
        .add(READ, get.clone(), "/api/traces", traces)
        .add(READ, get.clone(), "/api/traces/{id}", trace)
        .add(READ, get.clone(), "/api/dependencies", dependencies)
        // What newer versions of its front end ask for instead.
        .add(READ, get.clone(), "/api/v3/services", services_v3)
        .add(READ, get, "/api/v3/operations", operations_v3)
}

/// Answers with what `read` finds, on a thread that may block.
async fn answer<T: serde::Serialize>(call: &Call, read: impl FnOnce(Reader<'_>) -> Result<T, Failure> + Send + 'static) -> Answer {
    json_by_engine(call, move |app, run| json_bytes(&read(Reader::new(app, run))?)).await
}

async fn services(call: Call, _body: Body) -> Answer {
    answer(&call, |reader| Ok(Envelope::counted(reader.services()?))).await
}

/// The older of two ways: names only.
async fn operation_names(call: Call, _body: Body) -> Answer {
    let service = call.param("service").to_owned();
    answer(&call, move |reader| {
        let names: BTreeSet<String> = reader.operations(&service, None)?.into_iter().map(|o| o.name).collect();
        Ok(Envelope::counted(names.into_iter().collect()))
    })
    .await
}

async fn operations(call: Call, _body: Body) -> Answer {
    let params = Params::new(call.parts.uri.query());
    let service = params.service()?;
    let kind = params.first("spanKind");
    answer(&call, move |reader| Ok(Envelope::counted(reader.operations(&service, kind.as_deref())?))).await
}

async fn services_v3(call: Call, _body: Body) -> Answer {
    answer(&call, |reader| Ok(ServicesV3 { services: reader.services()? })).await
}

async fn operations_v3(call: Call, _body: Body) -> Answer {
    let params = Params::new(call.parts.uri.query());
    let service = params.service()?;
    let kind = params.first("span_kind").or_else(|| params.first("spanKind"));
    answer(&call, move |reader| Ok(OperationsV3 { operations: reader.operations(&service, kind.as_deref())? })).await
}

async fn dependencies(call: Call, _body: Body) -> Answer {
    let params = Params::new(call.parts.uri.query());
    let range = params.dependencies_range(crate::time::now())?;
    let service = params.first("service");
    answer(&call, move |reader| Ok(Envelope::of(reader.dependencies(range, service)?))).await
}

async fn traces(call: Call, _body: Body) -> Answer {
    let query = Params::new(call.parts.uri.query()).trace_query(crate::time::now(), call.app.settings.limits.result_rows_max)?;
    let record = call.record.clone();
    answer(&call, move |reader| {
        let mut missing = Vec::new();
        let found = if query.trace_ids.is_empty() {
            reader.find(&query)?
        } else {
            let found = reader.by_ids(&query.trace_ids, query.range)?;
            let is_found = |id: &String| found.traces.iter().any(|t| params::spellings(id).contains(&t.trace_id));
            missing.extend(query.trace_ids.iter().filter(|id| !is_found(id)).map(|id| Missing::trace(id)));
            found
        };
        missing.extend(found.remarks.iter().map(|r| Missing::remark(r)));
        record.note("wideye.trace.events", found.n_rows);
        Ok(Envelope { errors: (!missing.is_empty()).then_some(missing), ..Envelope::of(found.traces) })
    })
    .await
}

async fn trace(call: Call, _body: Body) -> Answer {
    let params = Params::new(call.parts.uri.query());
    let (id, hints) = (call.param("id").to_owned(), params.hints()?);
    let record = call.record.clone();
    answer(&call, move |reader| {
        let ids = [id];
        let mut found = reader.by_ids(&ids, hints)?;
        let Some(trace) = found.traces.first_mut() else { return Err(Failure::not_found("trace not found")) };
        if !found.remarks.is_empty() {
            trace.warnings.get_or_insert_default().append(&mut found.remarks);
        }
        record.note("wideye.trace.events", found.n_rows);
        Ok(Envelope::of(found.traces))
    })
    .await
}
