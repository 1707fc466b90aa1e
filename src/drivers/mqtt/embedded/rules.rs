//! What a client of the embedded broker may publish and subscribe to. Pure.

use rumqttc::valid_filter;

/// Allows some topics to some users. Without any rule everything is allowed; with rules, what none of them allows is not.
///
/// Topics are MQTT filters: `+` stands for one level, `#` at the end for all that follow. A level that is `${user}` or
/// `${clientId}` stands for the client's own user name or client id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BrokerRule {
    /// Users for whom it is; `None`: for everybody.
    pub users: Option<Vec<String>>,
    /// Topics that they may publish to, also as their Last Will.
    pub publish: Vec<String>,
    /// What they may subscribe to: these filters, and those that ask for less.
    pub subscribe: Vec<String>,
}

/// Who wants something.
#[derive(Debug, Clone, Copy)]
pub(super) struct Client<'a> {
    pub(super) user: Option<&'a str>,
    pub(super) id: &'a str,
}

impl BrokerRule {
    /// What is wrong with it; names the field.
    pub(super) fn problem(&self, is_user: impl Fn(&str) -> bool) -> Option<String> {
        if let Some(stranger) = self.users.iter().flatten().find(|user| !is_user(user)) {
            return Some(format!("users: '{stranger}' is not among the broker's users"));
        }
        let fields = [("publish", &self.publish), ("subscribe", &self.subscribe)];
        let mut filters = fields.iter().flat_map(|(field, filters)| filters.iter().map(move |filter| (field, filter)));
        let (field, filter) = filters.find(|(_, filter)| filter.contains('\0') || !valid_filter(filter))?;
        Some(format!("{field}: '{filter}' is no topic filter of MQTT"))
    }

    fn is_for(&self, client: Client<'_>) -> bool {
        let named = |users: &Vec<String>| client.user.is_some_and(|user| users.iter().any(|named| named == user));
        self.users.as_ref().is_none_or(named)
    }
}

/// Whether a rule lets a client publish to a topic.
pub(super) fn may_publish(rules: &[BrokerRule], client: Client<'_>, topic: &str) -> bool {
    let plain = !topic.contains(['+', '#']);
    plain && allows(rules, client, topic, |rule| &rule.publish)
}

/// Whether a rule lets a client subscribe to a filter, with all that it stands for.
pub(super) fn may_subscribe(rules: &[BrokerRule], client: Client<'_>, filter: &str) -> bool {
    allows(rules, client, filter, |rule| &rule.subscribe)
}

fn allows(rules: &[BrokerRule], client: Client<'_>, asked: &str, which: fn(&BrokerRule) -> &Vec<String>) -> bool {
    let mine = rules.iter().filter(|rule| rule.is_for(client));
    mine.flat_map(which).any(|allowed| covers(allowed, asked, client))
}

/// Whether every topic that matches `asked` matches `allowed` too.
fn covers(allowed: &str, asked: &str, client: Client<'_>) -> bool {
    let (mut allowed, mut asked) = (allowed.split('/'), asked.split('/'));
    // A wildcard at the beginning leaves out topics of the broker's own (MQTT 3.1.1, section 4.7.2).
    let mut own = asked.clone().next().is_some_and(|level| level.starts_with('$'));
    loop {
        let fits = match (allowed.next(), asked.next()) {
            (Some("#"), _) => return !own,
            (None, None) => return true,
            (None, Some(_)) | (Some(_), None | Some("#")) => false,
            (Some("+"), Some(_)) => !own,
            (Some("${user}"), Some(level)) => client.user.is_some_and(|user| is_own(user, level)),
            (Some("${clientId}"), Some(level)) => is_own(client.id, level),
            (Some(name), Some(level)) => name == level,
        };
        if !fits {
            return false;
        }
        own = false;
    }
}

/// Whether a level is the client's own name. A name with wildcards in it is nobody's.
fn is_own(name: &str, level: &str) -> bool {
    !name.is_empty() && !name.contains(['+', '#']) && name == level
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rumqttc::matches;

    use super::*;

    const ADA: Client<'static> = Client { user: Some("ada"), id: "client-1" };

    fn rule(users: Option<&[&str]>, publish: &[&str], subscribe: &[&str]) -> BrokerRule {
        let owned = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
        BrokerRule { users: users.map(owned), publish: owned(publish), subscribe: owned(subscribe) }
    }

    #[test]
    fn what_no_rule_allows_is_not_allowed() {
        let rules = [rule(Some(&["ada"]), &["team/#"], &["team/+/x"]), rule(None, &["open"], &["open"])];
        assert!(
            may_publish(&rules, ADA, "team/a") && may_publish(&rules, ADA, "team") && may_publish(&rules, ADA, "open")
        );
        assert!(!may_publish(&rules, ADA, "teams") && !may_publish(&rules, ADA, "other"));
        assert!(!may_publish(&rules, ADA, "team/#"), "a wildcard is no topic");
        assert!(may_subscribe(&rules, ADA, "team/+/x") && may_subscribe(&rules, ADA, "team/a/x"));
        assert!(!may_subscribe(&rules, ADA, "team/#") && !may_subscribe(&rules, ADA, "#"));
        for nobody in [Client { user: None, id: "client-1" }, Client { user: Some("ben"), id: "ada" }] {
            assert!(!may_publish(&rules, nobody, "team/a") && may_publish(&rules, nobody, "open"));
        }
        assert!(!may_publish(&[], ADA, "open"));
    }

    #[test]
    fn placeholders_are_the_clients_own_names_and_never_wildcards() {
        let rules = [rule(None, &["of/${user}/#", "id/${clientId}"], &["of/${user}/#", "id/${clientId}"])];
        assert!(may_publish(&rules, ADA, "of/ada/x") && may_publish(&rules, ADA, "id/client-1"));
        assert!(!may_publish(&rules, ADA, "of/ben/x") && !may_publish(&rules, ADA, "of/${user}/x"));
        let sly = Client { user: Some("+"), id: "#" };
        assert!(!may_subscribe(&rules, sly, "of/+/x") && !may_subscribe(&rules, sly, "id/#"));
        let empty = Client { user: Some(""), id: "" };
        assert!(!may_subscribe(&rules, empty, "of//x") && !may_subscribe(&rules, empty, "id/"));
    }

    #[test]
    fn topics_of_the_brokers_own_need_a_rule_that_names_them() {
        let rules = [rule(None, &[], &["#", "+/a"])];
        assert!(!may_subscribe(&rules, ADA, "$SYS/#") && !may_subscribe(&rules, ADA, "$SYS/a"));
        assert!(may_subscribe(&[rule(None, &[], &["$SYS/#"])], ADA, "$SYS/a"));
    }

    #[test]
    fn what_is_wrong_with_a_rule_is_named() {
        let known = |user: &str| user == "ada";
        assert_eq!(rule(Some(&["ada"]), &["a/+"], &["#"]).problem(known), None);
        assert!(rule(Some(&["ben"]), &[], &[]).problem(known).unwrap().contains("ben"));
        assert!(rule(None, &["a/#/b"], &[]).problem(known).unwrap().starts_with("publish"));
        assert!(rule(None, &[], &["a+"]).problem(known).unwrap().starts_with("subscribe"));
    }

    /// Without the broker's own topics, of which rumqttc says that they match nothing.
    fn levels() -> impl Strategy<Value = Vec<&'static str>> {
        prop::collection::vec(prop::sample::select(vec!["a", "b", "c", "", "+"]), 1..4)
    }

    fn filter() -> impl Strategy<Value = String> {
        (levels(), any::<bool>()).prop_map(|(mut levels, all)| {
            if all {
                levels.push("#");
            }
            levels.join("/")
        })
    }

    proptest! {
        #[test]
        fn a_filter_that_is_allowed_matches_no_topic_that_is_not(
            allowed in filter(),
            asked in filter(),
            topic in levels(),
        ) {
            let topic = topic.join("/").replace('+', "c");
            if covers(&allowed, &asked, ADA) && matches(&topic, &asked) {
                prop_assert!(matches(&topic, &allowed), "{allowed} covers {asked} but not {topic}");
            }
        }

        #[test]
        fn a_topic_is_allowed_exactly_if_it_matches(allowed in filter(), topic in levels()) {
            let topic = topic.join("/").replace('+', "c");
            prop_assert_eq!(covers(&allowed, &topic, ADA), matches(&topic, &allowed), "{} {}", allowed, topic);
        }
    }
}
