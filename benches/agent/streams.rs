//! Much output.

use crate::figures::Figure;
use crate::floor;
use crate::limits;
use crate::measure::agent::Target;
use crate::measure::bulk::{BLOCK_BYTES, block};
use crate::measure::output::{pass, stall};
use crate::options::Sizes;

const MIB: f64 = 1024.0 * 1024.0;
const GIB: f64 = 1024.0 * MIB;

pub fn measure(target: &Target, sizes: &Sizes) -> Vec<Figure> {
    let bytes = sizes.of(1 << 30) / BLOCK_BYTES * BLOCK_BYTES;
    let agent = target.agent();
    let text = agent.path("text");
    std::fs::write(&text, block().repeat(16)).unwrap();
    let count = bytes.to_string();
    let zeros = vec!["head", "-c", &count, "/dev/zero"];
    let files = bytes / (16 * BLOCK_BYTES);
    let words = [vec!["cat"], vec![text.as_str(); files]].concat();
    let mut figures = Vec::new();
    for (source, program, bytes) in [("zeros", &zeros, bytes), ("text", &words, files * 16 * BLOCK_BYTES)] {
        if bytes == 0 {
            continue;
        }
        let gibs = bytes as f64 / GIB;
        let bare = floor::pipe(program);
        // envd: MB a second, and CPU seconds for each GiB.
        for (form, binary, rate, cpu, times) in
            [("JSON", false, 88.0, 13.0, (4.0, 0.25)), ("binary", true, 275.0, 4.2, (3.0, 0.3))]
        {
            let passed = pass(&agent, program, bytes as u64, binary);
            let name = |what: &str| format!("stdout, {source}, {form}: {what}");
            let value = bytes as f64 / 1e6 / passed.wall.as_secs_f64();
            let figure =
                Figure::new(name("throughput"), value, "MB/s").floor(bytes as f64 / 1e6 / bare.wall.as_secs_f64());
            figures.push(figure.envd(rate).at_least(rate * times.0));
            let value = passed.cpu.as_secs_f64() / gibs;
            let figure = Figure::new(name("CPU"), value, "s/GiB").floor(bare.cpu.as_secs_f64() / gibs);
            figures.push(figure.envd(cpu).at_most(cpu * times.1));
            figures.push(Figure::new(name("largest RSS"), passed.peak as f64 / MIB, "MiB"));
        }
    }
    drop(agent);
    let rss = stall(&target.agent(), limits::STALLED_READERS.try_into().unwrap()) as f64;
    let limit = limits::RSS_STALLED as f64 / MIB;
    figures.push(Figure::new("RSS with 16 stalled readers", rss / MIB, "MiB").envd(75.0).at_most(limit));
    figures
}
