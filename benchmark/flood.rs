//! A member that floods: `flood <port> <repository> <canvases> <canvas file> <nodes> <edits a second> <seconds> [gathered]`.
//!
//! It makes real edits ahead of time, signed, and says `ready` on standard output. Edit `x` moves a node to `x`: canvases, and for
//! each round of these nodes, take turns; names of several are separated by commas. Each edit is a message of its own; or of so
//! many `gathered` ones the first is, and all others are one message together, as they are from a peer whose messages take a while
//! to be acknowledged. For each line on standard input, which holds a number of milliseconds, it publishes as many edits as that
//! takes at an even pace with QoS 1, beginning anew each time, and prints how many it sent.

use std::error::Error;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use mqtt_p2p::canvas::{Canvas, CanvasPatch, Seen};
use mqtt_p2p::crypto::Identity;
use mqtt_p2p::ids::{CanvasId, RepositoryName, Session};
use mqtt_p2p::limits::{DEFAULT_MAX_MESSAGE_BYTES, MAX_MESSAGES_PER_SECOND};
use mqtt_p2p::sync::{Bounds, CanvasP2PSynchronizer, Command, Config, Input, Outbound, Publish, PublishToken, Rates};
use mqtt_p2p::time::Now;
use mqtt_p2p::wire::TopicSpace;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rumqttc::QoS;
use rumqttc::mqttbytes::v4;

const TICK: Duration = Duration::from_millis(1);

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [port, repository, canvases, file, nodes, rate, seconds, gathered @ ..] = arguments.as_slice() else {
        return Err(
            "usage: flood <port> <repository> <canvases> <file> <nodes> <edits a second> <seconds> [gathered]".into()
        );
    };
    let (rate, seconds): (usize, usize) = (rate.parse()?, seconds.parse()?);
    let gathered = gathered.first().map_or(Ok(1), |gathered| gathered.parse())?;
    let nodes: Vec<&str> = nodes.split(',').collect();
    let mut member = Member::new(repository, canvases, &std::fs::read_to_string(file)?, gathered)?;
    let edits = (0..rate * seconds).map(|x| member.edit(&nodes, x)).collect::<Result<Vec<_>, _>>()?;
    let mut connection = connect(port.parse()?)?;
    connection.write_all(&packets(&member.greeting, 1)?)?;
    println!("ready");
    let per_tick = rate.div_ceil(1000);
    let mut first = 0;
    let burst = |edits: &[Vec<Publish>]| {
        let messages = edits.concat();
        first += messages.len();
        packets(&messages, first - messages.len())
    };
    let bursts = edits.chunks(per_tick).map(burst).collect::<Result<Vec<_>, _>>()?;
    for line in std::io::stdin().lines() {
        let ticks: usize = line?.trim().parse()?;
        let start = Instant::now();
        for (burst, tick) in bursts.iter().take(ticks).zip(0_u32..) {
            thread::sleep((start + TICK * tick).saturating_duration_since(Instant::now()));
            connection.write_all(burst)?;
        }
        println!("{} edits in {} ms", per_tick * ticks.min(bursts.len()), start.elapsed().as_millis());
    }
    Ok(())
}

/// A real synchroniser whose messages are acknowledged with every `gathered`th edit.
struct Member {
    synchronizer: CanvasP2PSynchronizer,
    rng: ChaCha8Rng,
    canvases: Vec<CanvasId>,
    gathered: usize,
    unacknowledged: Vec<PublishToken>,
    calls: u64,
    /// What it publishes before its edits.
    greeting: Vec<Publish>,
}

impl Member {
    fn new(repository: &str, canvases: &str, content: &str, gathered: usize) -> Result<Self, Box<dyn Error>> {
        let repository = RepositoryName::new(repository)?;
        let synchronizer = CanvasP2PSynchronizer::new(Config {
            repositories: vec![repository.clone()],
            repository,
            topics: TopicSpace::new("mind-git")?,
            identity: Arc::new(Identity::from_seed([7; 32])),
            session: Session(7),
            instance: 7,
            capabilities: Vec::new(),
            live: true,
            auto_sync: true,
            discovery: true,
            max_message_bytes: DEFAULT_MAX_MESSAGE_BYTES,
            heartbeat_ms: 30_000,
            max_peers: 100,
            rates: Rates::default(),
            outbound: Outbound::new(MAX_MESSAGES_PER_SECOND),
            max_open_canvases: 100,
            bounds: Bounds::default(),
            root: None,
        });
        let rng = ChaCha8Rng::seed_from_u64(7);
        let canvases = canvases.split(',').map(CanvasId::new).collect::<Result<Vec<_>, _>>()?;
        let (unacknowledged, greeting) = (Vec::new(), Vec::new());
        let mut member =
            Self { synchronizer, rng, canvases: canvases.clone(), gathered, unacknowledged, calls: 0, greeting };
        let mut greeting = member.handle(Input::Connected { connection: 1 }, true);
        let content = Canvas::from_json(content)?;
        for canvas in canvases {
            let create = Command::Create { canvas, content: content.clone(), author: "flooder".to_owned() };
            greeting.extend(member.command(create, true));
        }
        member.greeting = greeting;
        Ok(member)
    }

    /// Makes an edit; what leaves with it, if anything does.
    fn edit(&mut self, nodes: &[&str], x: usize) -> Result<Vec<Publish>, Box<dyn Error>> {
        let canvas = self.canvases.get(x % self.canvases.len()).cloned().ok_or("no canvas")?;
        let node = nodes.get(x / self.canvases.len() % nodes.len()).ok_or("no node")?;
        let patch = CanvasPatch::from_json(&format!(r#"{{"nodes":{{"upsert":[{{"id":"{node}","x":{x}}}]}}}}"#))?;
        let command = Command::Patch { canvas, patch, seen: Seen::Unknown, author: "flooder".to_owned() };
        let acknowledged = (x + 1).is_multiple_of(self.gathered);
        let mut published = self.command(command, acknowledged);
        published.retain(|publish| publish.topic.ends_with("/changes"));
        if acknowledged && published.is_empty() {
            return Err(format!("edit {x} was not published").into());
        }
        Ok(published)
    }

    fn command(&mut self, command: Command, acknowledged: bool) -> Vec<Publish> {
        self.calls += 1;
        self.handle(Input::Command { call: self.calls, command }, acknowledged)
    }

    /// Does what an input leads to, and acknowledges everything if so wanted.
    fn handle(&mut self, input: Input, acknowledged: bool) -> Vec<Publish> {
        let now = Now { elapsed_ms: 1_000, unix_ms: 1_000 };
        let mut inputs = vec![input];
        let mut published = Vec::new();
        while let Some(input) = inputs.pop() {
            let output = self.synchronizer.handle(now, &mut self.rng, input);
            inputs.extend(output.store.map(|(token, _)| Input::Stored(token)));
            inputs.extend(output.subscribe.into_iter().map(|(filter, _)| Input::Subscribed { filter }));
            self.unacknowledged.extend(output.publish.iter().filter_map(|publish| publish.token));
            if acknowledged {
                inputs.extend(self.unacknowledged.drain(..).map(Input::Acknowledged));
            }
            published.extend(output.publish);
            if inputs.is_empty() && output.wake_at_ms.is_some_and(|at_ms| now.reached(at_ms)) {
                inputs.push(Input::Timer);
            }
        }
        published
    }
}

/// A connection to a broker; what comes back is read and forgotten.
fn connect(port: u16) -> Result<TcpStream, Box<dyn Error>> {
    let mut connection = TcpStream::connect(("127.0.0.1", port))?;
    let mut bytes = BytesMut::new();
    let mut connect = v4::Connect::new("flooder");
    // It says nothing while the others edit in quiet.
    connect.keep_alive = 0;
    connect.write(&mut bytes)?;
    connection.write_all(&bytes)?;
    let mut answers = connection.try_clone()?;
    thread::spawn(move || while answers.read(&mut [0; 16 << 10]).is_ok_and(|count| count > 0) {});
    Ok(connection)
}

/// Messages as MQTT packets, the first of which is the `first`-th of the connection.
fn packets(messages: &[Publish], first: usize) -> Result<BytesMut, Box<dyn Error>> {
    let mut bytes = BytesMut::new();
    for (message, number) in messages.iter().zip(first..) {
        let mut publish = v4::Publish::new(&message.topic, QoS::AtLeastOnce, message.payload.clone());
        publish.retain = message.retain;
        publish.pkid = u16::try_from(number % 65_535)? + 1;
        publish.write(&mut bytes)?;
    }
    Ok(bytes)
}
