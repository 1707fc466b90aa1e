//! Who may use the embedded broker: user names and passwords, and the rules of each client.

use std::collections::BTreeMap;

use async_trait::async_trait;
use rmqtt::codec::v5::SubscribeAckReason;
use rmqtt::hook::{Handler, HookResult, Parameter, Register, ReturnType, Type};
use rmqtt::types::{AuthResult, ConnectInfo, LastWill, PublishAclResult, SubscribeAclResult};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::EmbeddedBrokerOptions;
use super::rules::{BrokerRule, Client, may_publish, may_subscribe};

/// What clients are asked for and allowed.
#[derive(Clone)]
pub(super) struct Access {
    /// Digests, since these are all of one length; `None`: everybody may connect.
    users: Option<BTreeMap<String, [u8; 32]>>,
    rules: Option<Vec<BrokerRule>>,
}

impl Access {
    /// What the options ask for; `None` if they ask for nothing.
    pub(super) fn of(options: &EmbeddedBrokerOptions) -> Option<Self> {
        let users = options.users.as_ref();
        let users = users.map(|users| users.iter().map(|(user, password)| (user.clone(), digest(password))).collect());
        (options.users.is_some() || options.rules.is_some()).then(|| Self { users, rules: options.rules.clone() })
    }

    /// Has the broker ask here.
    pub(super) async fn install(self, register: &dyn Register) {
        for event in [Type::ClientAuthenticate, Type::ClientSubscribeCheckAcl, Type::MessagePublishCheckAcl] {
            register.add(event, Box::new(self.clone())).await;
        }
        register.start().await;
    }

    fn authenticate(&self, info: &ConnectInfo) -> AuthResult {
        let user = info.username().map(AsRef::as_ref);
        if let Some(users) = &self.users {
            let Some(user) = user else { return AuthResult::NotAuthorized };
            let given = digest(info.password().map(AsRef::as_ref).unwrap_or_default());
            // A name that is not known takes as long as a wrong password.
            let known = users.get(user);
            let equal = known.unwrap_or(&[0; 32]).ct_eq(&given);
            if known.is_none() || !bool::from(equal) {
                return AuthResult::BadUsernameOrPassword;
            }
        }
        // rmqtt publishes a Will without asking.
        let will = match info.last_will() {
            Some(LastWill::V3(will)) => Some(will.topic.as_ref()),
            Some(LastWill::V5(will)) => Some(will.topic.as_ref()),
            None => None,
        };
        let client = Client { user, id: info.client_id().as_ref() };
        match will {
            Some(topic) if !self.may(|rules| may_publish(rules, client, topic)) => AuthResult::NotAuthorized,
            _ => AuthResult::Allow(false, None),
        }
    }

    fn may(&self, ask: impl FnOnce(&[BrokerRule]) -> bool) -> bool {
        self.rules.as_deref().is_none_or(ask)
    }

    fn decide(&self, asked: &Parameter<'_>) -> Option<HookResult> {
        match asked {
            Parameter::ClientAuthenticate(info) => {
                let result = self.authenticate(info);
                if !matches!(result, AuthResult::Allow(..)) {
                    tracing::info!(target: "mqtt", client = %info.client_id(), ?result, "embedded broker refused a client");
                }
                Some(HookResult::AuthResult(result))
            }
            Parameter::ClientSubscribeCheckAcl(session, subscribe) => {
                let client = Client { user: session.id.username.as_deref(), id: session.id.client_id.as_ref() };
                if self.may(|rules| may_subscribe(rules, client, &subscribe.topic_filter)) {
                    return None;
                }
                tracing::info!(target: "mqtt", client = client.id, filter = %subscribe.topic_filter, "subscription refused");
                let refused = SubscribeAclResult::new_failure(SubscribeAckReason::NotAuthorized);
                Some(HookResult::SubscribeAclResult(refused))
            }
            Parameter::MessagePublishCheckAcl(session, publish) => {
                let client = Client { user: session.id.username.as_deref(), id: session.id.client_id.as_ref() };
                if self.may(|rules| may_publish(rules, client, &publish.topic)) {
                    return None;
                }
                tracing::info!(target: "mqtt", client = client.id, topic = %publish.topic, "publish refused");
                // Acknowledged and dropped, as Mosquitto does: MQTT 3.1.1 has no answer that says no (its section 3.3.5).
                Some(HookResult::PublishAclResult(PublishAclResult::rejected(false, None)))
            }
            _ => None,
        }
    }
}

fn digest(password: impl AsRef<[u8]>) -> [u8; 32] {
    Sha256::digest(password.as_ref()).into()
}

#[async_trait]
impl Handler for Access {
    async fn hook(&self, asked: &Parameter, so_far: Option<HookResult>) -> ReturnType {
        match self.decide(asked) {
            Some(decision) => (false, Some(decision)),
            None => (true, so_far),
        }
    }
}
