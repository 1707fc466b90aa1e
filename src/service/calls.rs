//! Calls that concern more than one repository, or the connection.

use serde_json::json;

use super::error::ServiceError;
use super::json;
use super::manager::{P2PNetworkManager, Repository};
use super::probe::{PerformanceOptions, Retention};
use super::router::LinkState;
use crate::drivers::mqtt::CanvasMQTTBroker;
use crate::ids::{CanvasId, RepositoryName};
use crate::limits::{DEFAULT_DISCOVER_MS, MAX_DISCOVER_MS};
use crate::sync::{Command, Reply, SyncError};

impl P2PNetworkManager {
    /// Shares a canvas into another repository; without a target, announces it to its own again.
    ///
    /// # Errors
    /// The call was not taken; see [`P2PNetworkManager::call`].
    pub fn share(&self, call: u64, repository: &str, canvas: &str, target: Option<&str>) -> Result<(), ServiceError> {
        self.check_open()?;
        self.repository(repository)?;
        let canvas = CanvasId::new(canvas)?;
        let Some(target) = target else {
            return self.call(call, repository, move || Ok(Command::Announce { canvas }));
        };
        let target = RepositoryName::new(target)?;
        if !self.inner.repositories.contains_key(&target) {
            return self.call(call, repository, move || Ok(Command::ShareOut { canvas, target }));
        }
        let repository = repository.to_owned();
        self.run(call, |this| async move {
            let (source, target) = (this.repository(&repository)?, this.repository(target.as_str())?);
            let Reply::Entry(entry) = Self::ask(source, Command::Describe { canvas: canvas.clone() }).await? else {
                return Err(SyncError::Closed.into());
            };
            let Reply::SharingKey(with) = Self::ask(target, Command::SharingKey { entry: entry.clone() }).await? else {
                return Err(SyncError::Closed.into());
            };
            let Reply::Share(grant) = Self::ask(source, Command::Share { canvas, with }).await? else {
                return Err(SyncError::Closed.into());
            };
            let author = entry.created_by.clone().unwrap_or_default();
            Self::ask(target, Command::Adopt { entry, author, grant }).await?;
            Ok("null".to_owned())
        })
    }

    /// Asks all repositories who is there.
    ///
    /// # Errors
    /// The call was not taken; see [`P2PNetworkManager::call`].
    pub fn discover_peers(&self, call: u64, timeout_ms: Option<u64>) -> Result<(), ServiceError> {
        let timeout_ms = timeout_ms.unwrap_or(DEFAULT_DISCOVER_MS).min(MAX_DISCOVER_MS);
        self.run(call, |this| async move {
            let asked: Vec<_> = this
                .inner
                .repositories
                .iter()
                .map(|(name, repository)| (name.clone(), Self::ask(repository, Command::DiscoverPeers { timeout_ms })))
                .collect();
            let mut all = Vec::new();
            for (name, outcome) in asked {
                if let Reply::Peers(peers) = outcome.await? {
                    all.extend(json::peer_list(&name, &peers));
                }
            }
            Ok(json::text(&all))
        })
    }

    /// Sends a message to the peers of one repository, or of all.
    ///
    /// # Errors
    /// The call was not taken; see [`P2PNetworkManager::call`].
    pub fn broadcast(&self, call: u64, message: String, repository: Option<&str>) -> Result<(), ServiceError> {
        self.check_open()?;
        if let Some(name) = repository {
            return self.call(call, name, move || Ok(Command::Broadcast { message }));
        }
        self.run(call, |this| async move {
            let sent: Vec<_> = this
                .inner
                .repositories
                .values()
                .map(|repository| Self::ask(repository, Command::Broadcast { message: message.clone() }))
                .collect();
            for outcome in sent {
                outcome.await?;
            }
            Ok("null".to_owned())
        })
    }

    /// Waits until the broker has everything edited so far, in all repositories.
    ///
    /// # Errors
    /// The call was not taken; see [`P2PNetworkManager::call`].
    pub fn flush(&self, call: u64) -> Result<(), ServiceError> {
        self.run(call, |this| {
            // Asked now, not when the runtime has time: what is edited after this call is not waited for.
            let asked: Vec<_> =
                this.inner.repositories.values().map(|repository| Self::ask(repository, Command::Flush)).collect();
            async move {
                for outcome in asked {
                    outcome.await?;
                }
                Ok("null".to_owned())
            }
        })
    }

    /// Whether a message to ourselves comes back through the broker.
    ///
    /// # Errors
    /// The call was not taken; see [`P2PNetworkManager::call`].
    pub fn test_connection(&self, call: u64) -> Result<(), ServiceError> {
        self.run(call, |this| async move {
            let round_trip = match this.broker() {
                Ok(broker) => this.inner.router.probe.round_trip(&broker).await,
                Err(error) => Err(error),
            };
            Ok(round_trip.is_ok().to_string())
        })
    }

    /// Measures round trips and throughput.
    ///
    /// # Errors
    /// The call was not taken, or the options are no valid JSON.
    pub fn performance_test(&self, call: u64, options: Option<&str>) -> Result<(), ServiceError> {
        let options: PerformanceOptions = serde_json::from_str(options.unwrap_or("{}")).map_err(|error| {
            ServiceError::BadArgument { what: "performanceTest's options", reason: error.to_string() }
        })?;
        self.run(call, |this| async move {
            let report = this.inner.router.probe.measure(&this.broker()?, &options).await?;
            Ok(json::text(&report))
        })
    }

    /// Checks what can be checked, with what to do about each.
    ///
    /// # Errors
    /// The call was not taken; see [`P2PNetworkManager::call`].
    pub fn health_check(&self, call: u64) -> Result<(), ServiceError> {
        self.run(call, |this| async move {
            let mut checks = vec![
                this.check_broker(),
                this.check_round_trip().await,
                this.check_acknowledgement().await,
                this.check_retained().await,
            ];
            checks.extend(this.inner.repositories.iter().map(|(name, repository)| {
                let status = Self::status_of(repository);
                let waiting = status.pending_edits;
                json!({
                    "name": format!("repository {name}"),
                    "ok": waiting == 0 || this.is_ready(),
                    "detail": format!(
                        "{} canvases, {} peers, {waiting} edits on their way, {} documents catching up",
                        status.canvases, status.peers, status.catching_up
                    ),
                    "remedy": "edits are kept and leave when the broker is reachable again",
                })
            }));
            checks.extend(this.inner.repositories.iter().filter_map(|(name, repository)| {
                let files = repository.files.as_ref()?.status.json();
                let paused = files["paused"].as_str();
                Some(json!({
                    "name": format!("folder of {name}"),
                    "ok": paused.is_none(),
                    "detail": match paused {
                        Some(reason) => format!("{} pauses: {reason}", files["path"]),
                        None => format!("{} has {} canvases", files["path"], files["canvases"]),
                    },
                    "remedy": "see the files-paused event, and docs/files.md",
                }))
            }));
            for check in &mut checks {
                if check["ok"] == true
                    && let Some(fields) = check.as_object_mut()
                {
                    fields.remove("remedy");
                }
            }
            let healthy = checks.iter().all(|check| check["ok"] == true);
            Ok(json!({ "healthy": healthy, "checks": checks }).to_string())
        })
    }

    fn check_broker(&self) -> serde_json::Value {
        let state = self.inner.router.link.borrow().clone();
        let detail = match &state {
            LinkState::Ready => "connected and subscribed".to_owned(),
            LinkState::Trying => "connecting for the first time".to_owned(),
            LinkState::Subscribing => "connected, waiting for subscriptions".to_owned(),
            LinkState::Down(reason) | LinkState::Rejected(reason) => reason.clone(),
            LinkState::Closed => "the service has been disconnected".to_owned(),
        };
        json!({
            "name": format!("broker {}", self.address()),
            "ok": state == LinkState::Ready,
            "detail": detail,
            "remedy": "start the broker, or check host, port, user and its access rules",
        })
    }

    async fn check_round_trip(&self) -> serde_json::Value {
        let result = match self.broker() {
            Ok(broker) => self.inner.router.probe.round_trip(&broker).await,
            Err(error) => Err(error),
        };
        let detail = match &result {
            Ok(duration) => format!("{:.2} ms there and back", duration.as_secs_f64() * 1e3),
            Err(error) => error.to_string(),
        };
        json!({
            "name": "round trip",
            "ok": result.is_ok(),
            "detail": detail,
            "remedy": "the broker must let this user publish and subscribe below the topic prefix",
        })
    }

    async fn check_acknowledgement(&self) -> serde_json::Value {
        let result = match self.broker() {
            Ok(broker) => self.inner.router.probe.acknowledgement(&broker).await,
            Err(error) => Err(error),
        };
        let detail = match &result {
            Ok(duration) => {
                format!("a message was acknowledged after {:.2} ms, and delivered", duration.as_secs_f64() * 1e3)
            }
            Err(error) => error.to_string(),
        };
        json!({
            "name": "QoS 1",
            "ok": result.is_ok(),
            "detail": detail,
            "remedy": "use a broker that acknowledges publishes (QoS 1); edits count as delivered only then",
        })
    }

    async fn check_retained(&self) -> serde_json::Value {
        let result = match self.broker() {
            Ok(broker) => self.inner.router.probe.retention(&broker).await,
            Err(error) => Err(error),
        };
        let detail = match &result {
            Ok(Retention::Kept) => "the broker keeps them, and forgets them on demand".to_owned(),
            Ok(Retention::NotForWildcards) => {
                "the broker keeps them, but gives none to subscriptions with a wildcard: \
                                               who comes when nobody is there finds nothing"
                    .to_owned()
            }
            Ok(Retention::None) => {
                "the broker does not keep them: who comes when nobody is there finds nothing".to_owned()
            }
            Err(error) => error.to_string(),
        };
        let remedy = match result {
            Ok(Retention::NotForWildcards) => {
                "keep a peer with storage on (mqtt-p2p server), or use a broker that gives them (docs/brokers.md)"
            }
            _ => "turn retained messages on in the broker, for this user and below the topic prefix",
        };
        let ok = matches!(result, Ok(Retention::Kept));
        json!({ "name": "retained messages", "ok": ok, "detail": detail, "remedy": remedy })
    }

    fn is_ready(&self) -> bool {
        *self.inner.router.link.borrow() == LinkState::Ready
    }

    fn broker(&self) -> Result<CanvasMQTTBroker, ServiceError> {
        self.inner.router.broker().ok_or_else(|| SyncError::Offline.into())
    }

    /// The whole service at a glance, as JSON; answers at once and in every state.
    #[must_use]
    pub fn network_status(&self) -> String {
        let inner = &self.inner;
        let statistics = inner.router.broker().map(|broker| broker.statistics()).unwrap_or_default();
        let repositories: serde_json::Map<_, _> = inner
            .repositories
            .iter()
            .map(|(name, repository)| (name.to_string(), Self::status_json(name, repository)))
            .collect();
        let last_error = statistics
            .last_error
            .filter(|_| !statistics.connected)
            .map(|message| json!({ "code": inner.router.link_code(), "message": message }));
        let sum = |field: fn(&crate::sync::RepositoryStatus) -> u64| -> u64 {
            inner.repositories.values().map(|repository| field(&Self::status_of(repository))).sum()
        };
        json!({
            "connected": self.is_ready(),
            "broker": {
                "protocol": inner.config.broker.protocol.scheme(),
                "host": inner.config.broker.host,
                "port": inner.config.broker.port(),
            },
            "peerId": inner.identity.peer().to_string(),
            "clientId": inner.client_id,
            "uptimeMs": u64::try_from(inner.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            "reconnects": statistics.connects.saturating_sub(1),
            "messages": {
                "sent": statistics.messages_out,
                "received": statistics.messages_in,
                "dropped": statistics.oversized_dropped + sum(|status| status.statistics.rejected.values().sum()),
            },
            "bytes": { "sent": statistics.bytes_out, "received": statistics.bytes_in },
            "queue": {
                "messages": statistics.queued_messages,
                "bytes": statistics.queued_bytes,
                "inFlight": statistics.in_flight_messages,
            },
            "acknowledge": json::histogram(&statistics.round_trip),
            "peers": sum(|status| status.peers as u64),
            "lastError": last_error,
            "repositories": repositories,
        })
        .to_string()
    }

    /// One repository at a glance, as JSON.
    ///
    /// # Errors
    /// [`ServiceError::RepositoryUnknown`].
    pub fn repository_status(&self, name: &str) -> Result<String, ServiceError> {
        let repository = self.repository(name)?;
        let name = RepositoryName::new(name)?;
        Ok(Self::status_json(&name, repository).to_string())
    }

    fn status_json(name: &RepositoryName, repository: &Repository) -> serde_json::Value {
        let files = repository.files.as_ref().map(|files| files.status.json());
        json::repository_status(name, &Self::status_of(repository), files.as_ref())
    }
}
