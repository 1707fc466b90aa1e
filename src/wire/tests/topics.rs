//! Topics: a bijection, whatever the names, and no way to inject a level or a wildcard.

use proptest::prelude::*;

use crate::ids::{CanvasId, DocumentId, Generation, PeerId, RepositoryName};
use crate::limits::MAX_TOPIC_PREFIX_BYTES;
use crate::wire::topics::{Topic, TopicError, TopicSpace};

use super::samples::{document, repository, topic};

fn space() -> TopicSpace {
    TopicSpace::new("mind-git").unwrap()
}

/// Whether an MQTT filter matches a topic (MQTT 3.1.1, section 4.7), for filters with `+` alone.
fn matches(filter: &str, topic: &str) -> bool {
    filter.split('/').count() == topic.split('/').count()
        && filter.split('/').zip(topic.split('/')).all(|(filter, level)| filter == "+" || filter == level)
}

proptest! {
    #[test]
    fn a_topic_reads_back_from_its_text(topic in topic()) {
        prop_assert_eq!(space().parse(&space().format(&topic)), Some(topic));
    }

    #[test]
    fn no_name_adds_a_level_or_a_wildcard(topic in topic()) {
        let text = space().format(&topic);
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-%/".contains(&byte);
        prop_assert!(text.bytes().all(allowed), "{}", text);
        let below_document = |document: &DocumentId| match document {
            DocumentId::Index { .. } => 4,
            DocumentId::Canvas { .. } => 6,
        };
        let levels = match &topic {
            Topic::Will { .. } | Topic::Sync(_) | Topic::Messages(_) | Topic::KeyNotices(_) | Topic::Epoch(_) => 4,
            Topic::Presence { .. } | Topic::Inbox { .. } => 5,
            Topic::Changes(document) | Topic::Cursor(document) => below_document(document) + 1,
            Topic::Manifest { document, .. } | Topic::SnapshotPart { document, .. } => below_document(document) + 2,
        };
        prop_assert_eq!(text.split('/').count(), levels);
        prop_assert!(text.split('/').all(|level| !level.is_empty()));
        prop_assert!(text.len() <= 65_535, "MQTT's longest string");
    }

    #[test]
    fn two_topics_have_two_texts(a in topic(), b in topic()) {
        prop_assert_eq!(a == b, space().format(&a) == space().format(&b));
    }

    #[test]
    fn only_the_one_spelling_is_read(topic in topic(), place in any::<prop::sample::Index>(), with in any::<char>()) {
        let text = space().format(&topic);
        let at = place.index(text.len());
        let changed = format!("{}{with}{}", &text[..at], &text[at + 1..]);
        if let Some(other) = space().parse(&changed) {
            prop_assert_eq!(space().format(&other), changed);
        }
    }

    #[test]
    fn any_text_is_read_or_not_but_never_panics(text in any::<String>(), tail in "[a-z0-9/%+#]{0,40}") {
        for text in [text, format!("mind-git/v1/{tail}")] {
            if let Some(topic) = space().parse(&text) {
                prop_assert_eq!(space().format(&topic), text);
            }
        }
    }

    #[test]
    fn filters_match_what_they_say(topic in topic(), other in (repository(), document()), same in any::<bool>()) {
        let (repository, document) = if same { of(&topic).unwrap_or(other) } else { other };
        let text = space().format(&topic);
        let presence = matches!(&topic, Topic::Presence { repository: of, .. } if *of == repository);
        prop_assert_eq!(matches(&space().all_presence(&repository), &text), presence);
        let manifest = matches!(&topic, Topic::Manifest { document: of, .. } if *of == document);
        prop_assert_eq!(matches(&space().all_manifests(&document), &text), manifest);
        let within = |document: &DocumentId| {
            matches!(document, DocumentId::Canvas { repository: of, .. } if *of == repository)
        };
        let manifests = matches!(&topic, Topic::Manifest { document, .. } if within(document));
        prop_assert_eq!(matches(&space().all_canvas_manifests(&repository), &text), manifests);
        let changes = matches!(&topic, Topic::Changes(document) if within(document));
        prop_assert_eq!(matches(&space().all_changes(&repository), &text), changes);
        let cursor = matches!(&topic, Topic::Cursor(document) if within(document));
        prop_assert_eq!(matches(&space().all_cursors(&repository), &text), cursor);
        if matches!(topic, Topic::Will { .. }) {
            prop_assert!(matches(&space().all_wills(), &text));
        }
    }
}

#[test]
fn topics_look_as_the_specification_says() {
    let peer = PeerId([7; 32]);
    let repository = RepositoryName::new("my repo").unwrap();
    let document = DocumentId::Canvas {
        repository: repository.clone(),
        canvas: CanvasId::new("docs/architecture.canvas").unwrap(),
        generation: Generation(2),
    };
    let canvas = "mind-git/v1/my%20repo/canvas/docs%2Farchitecture%2Ecanvas/2";
    let expected = [
        (Topic::Presence { repository: repository.clone(), peer }, format!("mind-git/v1/my%20repo/peers/{peer}")),
        (Topic::Will { peer }, format!("mind-git/v1/will/{peer}")),
        (Topic::Changes(document.clone()), format!("{canvas}/changes")),
        (Topic::Manifest { document: document.clone(), writer: peer }, format!("{canvas}/heads/{peer}")),
        (
            Topic::SnapshotPart { document: document.clone(), digest: [0xab; 32] },
            format!("{canvas}/snapshot/{}", "ab".repeat(32)),
        ),
        (Topic::Cursor(document), format!("{canvas}/presence")),
        (
            Topic::Changes(DocumentId::Index { repository: repository.clone() }),
            "mind-git/v1/my%20repo/index/changes".to_owned(),
        ),
        (Topic::Sync(repository.clone()), "mind-git/v1/my%20repo/sync".to_owned()),
        (Topic::Inbox { repository: repository.clone(), peer }, format!("mind-git/v1/my%20repo/inbox/{peer}")),
        (Topic::Messages(repository), "mind-git/v1/my%20repo/messages".to_owned()),
    ];
    for (topic, text) in expected {
        assert_eq!(space().format(&topic), text);
    }
}

#[test]
fn a_second_spelling_of_a_topic_is_refused() {
    let digest = "AB".repeat(32);
    for text in [
        "mind-git/v1/repo/canvas/a/01/changes",
        "mind-git/v1/repo/canvas/a/+1/changes",
        "mind-git/v1/re%70o/sync",
        "mind-git/v1/a%2fb/sync",
        "mind-git/v1/a.b/sync",
        "mind-git/v1//sync",
        "mind-git/v1/repo/sync/",
        "mind-git/v1/%FF/sync",
        "mind-git/v2/repo/sync",
        "other/v1/repo/sync",
        "mind-git/v1/repo/peers/z6Mk",
        &format!("mind-git/v1/repo/index/snapshot/{digest}"),
    ] {
        assert_eq!(space().parse(text), None, "{text}");
    }
}

#[test]
fn prefixes_may_have_levels_but_nothing_special() {
    for prefix in ["mind-git", "a", "org/team_1/boards"] {
        let space = TopicSpace::new(prefix).unwrap();
        let topic = Topic::Sync(RepositoryName::new("repo").unwrap());
        assert_eq!(space.format(&topic), format!("{prefix}/v1/repo/sync"));
        assert_eq!(space.parse(&space.format(&topic)), Some(topic));
    }
    for prefix in ["", "/", "a/", "/a", "a//b", "a b", "a.b", "#", "a/+", "$SYS", "é", "a\0"] {
        assert!(matches!(TopicSpace::new(prefix), Err(TopicError::InvalidPrefix { .. })), "{prefix:?}");
    }
    let longest = "x".repeat(MAX_TOPIC_PREFIX_BYTES);
    assert!(TopicSpace::new(&longest).is_ok());
    let too_long = TopicSpace::new(&format!("{longest}x")).unwrap_err();
    assert_eq!(too_long, TopicError::TooLong { bytes: MAX_TOPIC_PREFIX_BYTES + 1 });
}

/// The repository of a topic, and its document or else the index.
fn of(topic: &Topic) -> Option<(RepositoryName, DocumentId)> {
    match topic {
        Topic::Will { .. } | Topic::KeyNotices(_) => None,
        Topic::Changes(document)
        | Topic::Cursor(document)
        | Topic::Manifest { document, .. }
        | Topic::SnapshotPart { document, .. } => Some((document.repository().clone(), document.clone())),
        Topic::Presence { repository, .. }
        | Topic::Sync(repository)
        | Topic::Inbox { repository, .. }
        | Topic::Messages(repository)
        | Topic::Epoch(repository) => Some((repository.clone(), DocumentId::Index { repository: repository.clone() })),
    }
}

#[test]
fn a_probe_is_below_the_prefix_and_no_topic_of_a_message() {
    let probe = space().probe(&PeerId([7; 32]));
    assert_eq!(space().below(&probe), Some(&*format!("v1/probe/{}", PeerId([7; 32]))));
    assert_eq!(space().parse(&probe), None);
    assert!(matches(&space().all_probes(), &probe));
    assert_eq!(space().below("other/v1/repo/sync"), None);
}
