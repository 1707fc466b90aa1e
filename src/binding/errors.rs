//! Errors as JavaScript sees them: with the stable code as their `code`.

use napi::Error;

use crate::canvas::file::TextError;
use crate::drivers::mqtt::embedded::EmbeddedBrokerError;
use crate::service::ServiceError;

/// An error whose status is our own code; a synchronous method that returns it throws an `Error` with that `code`.
pub(super) type Coded = Error<String>;

pub(super) fn coded(error: &ServiceError) -> Coded {
    Error::new(error.code().to_owned(), error.to_string())
}

/// The code of what is wrong with a text, and which text it is.
pub(super) fn coded_text(error: &TextError) -> Coded {
    Error::new(ServiceError::from(error.error.clone()).code().to_owned(), error.to_string())
}

pub(super) fn coded_broker(error: &EmbeddedBrokerError) -> Coded {
    let code = match error {
        EmbeddedBrokerError::AddressInUse { .. }
        | EmbeddedBrokerError::InvalidHost { .. }
        | EmbeddedBrokerError::Tls(_)
        | EmbeddedBrokerError::Access(_) => "ERR_CONFIG_INVALID",
        EmbeddedBrokerError::Start(_) => "ERR_BROKER_UNREACHABLE",
    };
    Error::new(code.to_owned(), error.to_string())
}
