//! `recoverStorage`.

use napi::bindgen_prelude::{AsyncTask, Unknown};
use napi::{Env, Error, JsError, Result, Task};
use napi_derive::napi;

use super::errors::{Coded, coded};
use crate::drivers::storage::recover;

/// Recovering reads and writes whole files, so it happens on a worker thread.
pub struct RecoverStorage(String);

impl Task for RecoverStorage {
    type Output = std::result::Result<String, Coded>;
    type JsValue = String;

    fn compute(&mut self) -> Result<Self::Output> {
        let report = recover(self.0.as_ref()).map(|report| serde_json::json!(report).to_string());
        Ok(report.map_err(|error| coded(&error.into())))
    }

    fn resolve(&mut self, env: Env, output: Self::Output) -> Result<String> {
        output.map_err(|error| {
            let value: Unknown<'_> = JsError::from(error).into_unknown(env);
            Error::from(value)
        })
    }
}

/// Rescues what can be read of a damaged data directory. Resolves with JSON of `{ documents, complete, changes, waitingChanges,
/// snapshots, lostBytes, damagedFile }`; `damagedFile` is null when nothing was damaged.
#[napi]
pub fn recover_storage(path: String) -> AsyncTask<RecoverStorage> {
    super::logging::init();
    AsyncTask::new(RecoverStorage(path))
}
