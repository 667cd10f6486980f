//! Files up and down.

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
    cpu: Option<f64>,
    times: f64,
}

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
    let rival = |rate, cpu, times| Some(Rival { rate, cpu, times });
    let mut figures = Vec::new();
    let mut add = |name: &str, wall: f64, cpu: f64, rival: Option<Rival>| {
        let rate = bytes as f64 / 1e6 / wall;
        let rate = Figure::new(format!("{name}: throughput"), rate, "MB/s");
        let cpu = Figure::new(format!("{name}: CPU"), cpu * 1024.0 / blocks as f64, "s/GiB");
        figures.push(match &rival {
            Some(rival) => rate.envd(rival.rate).at_least(rival.rate * rival.times),
            None => rate,
        });
        figures.push(match rival.and_then(|rival| rival.cpu) {
            Some(envd) => cpu.envd(envd).at_most(envd),
            None => cpu,
        });
    };
    // What the first transfer of a kind needs is no growth, and the first write of a file is slower.
    let mut grown = 0.0_f64;
    let mut seconds = |moved: Moved| {
        grown = grown.max(moved.growth as f64 / MIB);
        (moved.wall.as_secs_f64(), moved.cpu.as_secs_f64())
    };
    upload(agent, "file", Form::Raw, bytes);
    for (form, name, rival) in [
        (Form::Raw, "upload, raw", rival(629.0, Some(1.7), 1.0)),
        (Form::Multipart, "upload, multipart", rival(397.0, Some(2.8), 1.5)),
        (Form::Gzip, "upload, gzip", None),
    ] {
        let (wall, cpu) = seconds(upload(agent, "file", form, bytes));
        add(name, wall, cpu, rival);
    }
    let Cost { wall, cpu } = floor::receive(&agent.path("bare"), blocks);
    add("bare read and write", wall.as_secs_f64(), cpu.as_secs_f64(), None);
    for (form, name, rival) in
        [(Form::Raw, "download, raw", rival(1080.0, Some(0.6), 1.0)), (Form::Gzip, "download, gzip", None)]
    {
        let (wall, cpu) = seconds(download(agent, "file", form));
        add(name, wall, cpu, rival);
    }
    let Cost { wall, cpu } = floor::sendfile(&agent.path("bare"));
    add("bare sendfile", wall.as_secs_f64(), cpu.as_secs_f64(), None);
    let limit = limits::TRANSFER_GROWTH as f64 / MIB;
    figures.push(Figure::new("largest growth of RSS", grown, "MiB").at_most(limit));
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
