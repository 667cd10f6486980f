//! Files up and down.

use std::time::Duration;

use crate::figures::Figure;
use crate::floor::{self, Cost};
use crate::limits;
use crate::measure::agent::{Agent, Target};
use crate::measure::bulk::{BLOCK_BYTES, Form, Moved, download, small, upload};
use crate::measure::load::Load;
use crate::options::Sizes;

const MIB: f64 = 1024.0 * 1024.0;

/// envd's throughput in MB/s and CPU seconds for each GiB, and what we may have of them.
struct Rival {
    rate: f64,
    cpu: f64,
    times: f64,
}

/// How files are sent.
const FORMS: [Form; 3] = [Form::Raw, Form::Multipart, Form::Gzip];

pub fn measure(target: &Target, sizes: &Sizes) -> Vec<Figure> {
    let agent = target.agent();
    let mut figures = large(&agent, sizes.of(1 << 30).div_ceil(BLOCK_BYTES));
    for (bytes, size, each) in [(4 << 20, "4 MiB", 100), (4096, "4 KiB", 4000), (1024, "1 KiB", 4000)] {
        for clients in [1, 16] {
            figures.extend(round_trips(&agent, bytes, size, clients, sizes.of(each).div_ceil(clients)));
        }
    }
    figures
}

fn large(agent: &Agent, blocks: usize) -> Vec<Figure> {
    let bytes = blocks * BLOCK_BYTES;
    let mut figures = Vec::new();
    let mut peak = 0.0_f64;
    let mut add = |name: &str, moved: Moved, bare: Cost, rival: Option<Rival>| {
        peak = peak.max(moved.peak as f64 / MIB);
        let rate = |wall: Duration| bytes as f64 / 1e6 / wall.as_secs_f64();
        let each = |cpu: Duration| cpu.as_secs_f64() * 1024.0 / blocks as f64;
        let figure = Figure::new(format!("{name}: throughput"), rate(moved.wall), "MB/s").floor(rate(bare.wall));
        let cpu = Figure::new(format!("{name}: CPU"), each(moved.cpu), "s/GiB").floor(each(bare.cpu));
        figures.extend(match rival {
            Some(envd) => {
                [figure.envd(envd.rate).at_least(envd.rate * envd.times), cpu.envd(envd.cpu).at_most(envd.cpu)]
            }
            None => [figure, cpu],
        });
    };
    let rival = |rate, cpu, times| Some(Rival { rate, cpu, times });
    let small: Vec<_> = FORMS.iter().map(|form| upload(agent, "file", *form, 16 * BLOCK_BYTES).peak).collect();
    let small = small.into_iter().max().unwrap_or_default() as f64 / MIB;
    // The first write of a file is slower.
    upload(agent, "file", Form::Raw, bytes);
    floor::receive(&agent.path("bare"), blocks);
    let bare = floor::receive(&agent.path("bare"), blocks);
    add("upload, raw", upload(agent, "file", Form::Raw, bytes), bare, rival(629.0, 1.7, 1.0));
    add("upload, multipart", upload(agent, "file", Form::Multipart, bytes), bare, rival(397.0, 2.8, 1.5));
    add("upload, gzip", upload(agent, "file", Form::Gzip, bytes), bare, None);
    let bare = floor::sendfile(&agent.path("bare"));
    add("download, raw", download(agent, "file", Form::Raw), bare, rival(1080.0, 0.6, 1.0));
    add("download, gzip", download(agent, "file", Form::Gzip), bare, None);
    let limit = limits::TRANSFER_GROWTH as f64 / MIB;
    figures.push(Figure::new("largest RSS meanwhile", peak, "MiB"));
    figures.push(Figure::new("beyond that of 16 MiB", (peak - small).max(0.0), "MiB").at_most(limit));
    figures
}

/// envd's 1 KiB files a second and CPU microseconds for each: up and down, with one client and with 16.
const ENVD_1_KIB: [[[f64; 2]; 2]; 2] = [[[2990.0, 306.0], [5980.0, 198.0]], [[3480.0, 237.0], [8165.0, 142.0]]];

fn round_trips(agent: &Agent, bytes: usize, size: &str, clients: usize, each: usize) -> Vec<Figure> {
    // Each client has a file of its own; the requests are written once.
    let files: Vec<_> = (0..clients).map(|number| agent.file(&format!("small-{bytes}-{number}"))).collect();
    let client = agent.client();
    let up: Vec<_> = files.iter().map(|file| small(&client, file, bytes)).collect();
    let down: Vec<_> = files.iter().map(|file| client.prepare("GET", file, "", b"")).collect();
    let mut figures = Vec::new();
    for (way, requests, envd) in [("upload", &up, ENVD_1_KIB[0]), ("download", &down, ENVD_1_KIB[1])] {
        let load = Load::run(agent, clients, each, |client, number| {
            client.call(&requests[number], 200);
        });
        let name = |what: &str| format!("{way} of {size}, {clients} at once: {what}");
        let [rate, cpu] = envd[usize::from(clients > 1)];
        let per_second = Figure::new(name("a second"), load.per_second(), "/s");
        let each = Figure::new(name("CPU"), load.cpu_each(), "us");
        figures.push(Figure::new(name("p50"), load.percentile(50).as_secs_f64() * 1e6, "us"));
        figures.extend(match bytes {
            1024 => [per_second.envd(rate).at_least(rate * 2.0), each.envd(cpu)],
            _ => [per_second, each],
        });
    }
    figures
}
