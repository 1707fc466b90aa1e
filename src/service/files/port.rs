//! What a binding says to its repository, and to the application.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::super::error::ServiceError;
use super::super::inbox::Inbox;
use super::super::json;
use super::super::mailbox::Mailbox;
use super::super::repository_task::{AnswerTo, Call};
use crate::canvas::{Canvas, Version};
use crate::ids::{CanvasId, RepositoryName};
use crate::sync::{Command, FileCommand, Reply, Standing, SyncError};

/// The way to one repository and to the application.
pub(crate) struct Port {
    pub(crate) repository: RepositoryName,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) mailbox: Arc<Mailbox>,
}

/// An `error` event about a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Complaint {
    pub(crate) code: &'static str,
    pub(crate) message: String,
    /// The file's absolute path.
    pub(crate) path: String,
    /// Line and column in it, from 1.
    pub(crate) place: Option<(usize, usize)>,
}

impl Port {
    /// Asks the repository, and waits for the answer; blocks.
    pub(crate) fn ask(&self, command: Command) -> Result<Reply, ServiceError> {
        let (sender, receiver) = oneshot::channel();
        let call = Call { prepare: Box::new(move || Ok(command)), answer_to: AnswerTo::Service(sender) };
        self.inbox.push_call(call)?;
        // Without an answer the repository's task has ended.
        Ok(receiver.blocking_recv().unwrap_or(Err(SyncError::Closed))?)
    }

    /// Asks something whose answer is a version.
    pub(crate) fn edit(&self, command: FileCommand) -> Result<Version, ServiceError> {
        match self.ask(Command::File(command))? {
            Reply::Version(version) => Ok(version),
            _ => Err(SyncError::Closed.into()),
        }
    }

    /// How a canvas stands; its content is left out if it is at the known version.
    pub(crate) fn look(&self, canvas: &CanvasId, known: Option<&Version>) -> Result<Standing, ServiceError> {
        let look = FileCommand::Look { canvas: canvas.clone(), known: known.cloned() };
        match self.ask(Command::File(look))? {
            Reply::Standing(standing) => Ok(standing),
            _ => Err(SyncError::Closed.into()),
        }
    }

    /// Version and content of a canvas, if it is there.
    pub(crate) fn present(&self, canvas: &CanvasId) -> Result<Option<(Version, Canvas)>, ServiceError> {
        match self.look(canvas, None)? {
            Standing::There { version, content: Some(content) } => Ok(Some((version, content))),
            _ => Ok(None),
        }
    }

    /// What a canvas was at a version.
    pub(crate) fn content_at(&self, canvas: &CanvasId, version: &Version) -> Result<Option<Canvas>, ServiceError> {
        match self.ask(Command::Get { canvas: canvas.clone(), at: Some(version.clone()) })? {
            Reply::Canvas { json, .. } => Ok(Canvas::from_json(&json).ok()),
            _ => Ok(None),
        }
    }

    /// Tells the application; `fields` go beside the repository's name.
    pub(crate) fn tell(&self, event: &str, mut fields: Value) {
        if let Value::Object(fields) = &mut fields {
            fields.insert("repository".to_owned(), self.repository.as_str().into());
        }
        self.mailbox.push(vec![json::event(event, &fields)]);
    }

    /// Tells the application that something is wrong with a file.
    pub(crate) fn complain(&self, complaint: &Complaint) {
        let mut fields = json!({ "code": complaint.code, "message": complaint.message, "path": complaint.path });
        if let (Some((line, column)), Value::Object(fields)) = (complaint.place, &mut fields) {
            fields.insert("line".to_owned(), line.into());
            fields.insert("column".to_owned(), column.into());
        }
        tracing::warn!(target: "mqtt:files", path = complaint.path, "{}", complaint.message);
        self.tell("error", fields);
    }
}

/// A path as events show it.
pub(crate) fn shown(path: &Path) -> String {
    path.display().to_string()
}
