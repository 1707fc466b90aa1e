//! How many edits a second are acknowledged, with storage in memory and on disk: `cargo bench --bench durability`.
//!
//! A whole service without a broker: edits go through the repository's task as an application's do. With so many in
//! flight, the next edit is made when the outcome of one has come. On disk an outcome means an fsync; edits that wait
//! together share one. The data directory is made below the system's directory for temporary files (`TMPDIR`): a file
//! system in memory would measure nothing.

#![allow(missing_docs, reason = "criterion's macros make public items")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a benchmark that fails may stop")]

use std::hint::black_box;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use mqtt_p2p::canvas::{Canvas, CanvasPatch, Seen};
use mqtt_p2p::ids::CanvasId;
use mqtt_p2p::service::{Mailbox, P2PNetworkManager, ServiceConfig};
use mqtt_p2p::sync::Command;
use serde_json::{Value, json};
use tokio::runtime::{Handle, Runtime};

const REPOSITORY: &str = "notes";
const CANVAS: &str = "board";
/// Nodes of the canvas, which the edits move.
const NODES: u64 = 100;
const IN_FLIGHT: [u64; 3] = [1, 10, 100];
/// How long anything may take that has to happen at all.
const DEADLINE: Duration = Duration::from_secs(30);

struct Service {
    manager: P2PNetworkManager,
    mailbox: Arc<Mailbox>,
    bell: mpsc::Receiver<()>,
    calls: u64,
}

impl Service {
    fn start(runtime: &Handle, storage: Option<&str>) -> Self {
        let mut config = json!({
            // Nobody listens there.
            "broker": { "host": "127.0.0.1", "port": 9 },
            "repositories": [REPOSITORY],
            "offline": "allow",
        });
        if let Some(path) = storage {
            config["storage"] = json!({ "path": path });
        }
        let config = ServiceConfig::from_json(&config.to_string()).unwrap();
        let mailbox = Arc::new(Mailbox::default());
        let manager = P2PNetworkManager::new(config, [7; 32], mailbox.clone(), runtime.clone()).unwrap();
        let (ring, bell) = mpsc::channel();
        mailbox.set_doorbell(Some(Arc::new(move || ring.send(()).unwrap_or(()))));
        let mut service = Self { manager, mailbox, bell, calls: 0 };
        service.calls += 1;
        service.manager.initialize(service.calls);
        service.outcomes(1);
        let nodes: Vec<_> = (0..NODES).map(|id| json!({ "id": id.to_string(), "x": 0, "y": 0 })).collect();
        let content = Canvas::from_json(&json!({ "nodes": nodes }).to_string()).unwrap();
        service.call(Command::Create { canvas: canvas(), content, author: "me".to_owned() });
        service.outcomes(1);
        service
    }

    fn call(&mut self, command: Command) {
        self.calls += 1;
        self.manager.call(self.calls, REPOSITORY, move || Ok(command)).unwrap();
    }

    fn edit(&mut self) {
        let (id, x) = (self.calls % NODES, self.calls);
        let patch = format!(r#"{{"nodes":{{"upsert":[{{"id":"{id}","x":{x}}}]}}}}"#);
        let patch = CanvasPatch::from_json(&patch).unwrap();
        self.call(Command::Patch { canvas: canvas(), patch, seen: Seen::Unknown, author: "me".to_owned() });
    }

    /// Waits for outcomes, at least so many, and returns how many came.
    fn outcomes(&mut self, least: u64) -> u64 {
        let mut come = 0;
        while come < least {
            self.bell.recv_timeout(DEADLINE).expect("outcomes in time");
            for item in serde_json::from_str::<Vec<Value>>(&self.mailbox.drain()).unwrap() {
                assert!(item["error"].is_null(), "{item}");
                come += u64::from(!item["call"].is_null());
            }
        }
        come
    }

    /// Makes so many edits, of which so many are in flight at a time, and waits for all outcomes.
    fn run(&mut self, edits: u64, in_flight: u64) -> Duration {
        let start = Instant::now();
        let (mut made, mut done) = (0, 0);
        while done < edits {
            while made < edits && made - done < in_flight {
                self.edit();
                made += 1;
            }
            done += self.outcomes(1);
        }
        black_box(start.elapsed())
    }

    fn stop(mut self) {
        self.calls += 1;
        self.manager.disconnect(self.calls);
        self.outcomes(1);
    }
}

fn canvas() -> CanvasId {
    CanvasId::new(CANVAS).unwrap()
}

fn acknowledged_edits(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let mut group = criterion.benchmark_group("acknowledged edits");
    group.throughput(Throughput::Elements(1)).sample_size(20).measurement_time(Duration::from_secs(4));
    for storage in ["memory", "disk"] {
        for in_flight in IN_FLIGHT {
            let path = std::env::temp_dir().join(format!("mqtt-p2p-bench-{}-{in_flight}", std::process::id()));
            let directory = path.to_str().filter(|_| storage == "disk");
            let mut service = Service::start(runtime.handle(), directory);
            group.bench_function(BenchmarkId::new(storage, in_flight), |bencher| {
                bencher.iter_custom(|edits| service.run(edits, in_flight));
            });
            service.stop();
            if directory.is_some() {
                std::fs::remove_dir_all(&path).unwrap();
            }
        }
    }
    group.finish();
}

criterion_group!(benches, acknowledged_edits);
criterion_main!(benches);
