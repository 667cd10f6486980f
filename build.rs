//! Turns `proto/` into Rust: messages, services, proto3 JSON, a table of the
//! methods and the descriptor set. No `protoc` is needed, and the same input
//! gives the same output.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use prost_build::Config;
use protox::prost::Message as _;

/// The well-known types come from here, so that they can have a JSON form.
const WELL_KNOWN: (&str, &str) = (".google.protobuf", "crate::proto");

/// Messages whose JSON is written by hand: they carry the bulk bytes, or take numbers that have no name.
const JSON_BY_HAND: [&str; 3] =
    [".process.ProcessEvent.DataEvent", ".process.ProcessInput", ".process.SendSignalRequest"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    // The order in which `scripts/static` has functions linked.
    println!("cargo:rerun-if-changed=scripts/layout");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);

    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files(protos(Path::new("proto"))?)?;
    let set = compiler.file_descriptor_set();

    fs::write(out.join("methods.rs"), methods(&set)?)?;
    fs::write(out.join("descriptors.bin"), without_comments(&set).encode_to_vec())?;
    json(&set)?;
    services(set)?;
    stamp();
    Ok(())
}

/// Names the commit: `THAWD_COMMIT` for builds without a checkout, git's answer otherwise. Only in release builds, so
/// that a commit does not rebuild the tests.
fn stamp() {
    println!("cargo:rerun-if-env-changed=THAWD_COMMIT");
    let release = env::var("PROFILE").is_ok_and(|profile| profile == "release");
    if release && Path::new(".git/logs/HEAD").exists() {
        println!("cargo:rerun-if-changed=.git/logs/HEAD");
    }
    let ask_git = || {
        let output = std::process::Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let commit = env::var("THAWD_COMMIT").ok().or_else(|| release.then(ask_git).flatten());
    println!("cargo:rustc-env=THAWD_COMMIT={}", commit.as_deref().unwrap_or("unknown"));
}

/// All `.proto` files below `dir`, sorted.
fn protos(dir: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(protos(&path)?);
        } else if path.extension().is_some_and(|ext| ext == "proto") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Messages, servers and clients. The clients have no `connect`: an RPC has that name.
fn services(set: prost_types::FileDescriptorSet) -> Result<(), Box<dyn Error>> {
    tonic_prost_build::configure()
        .codec_path("crate::wire::Codec")
        .build_transport(false)
        .generate_default_stubs(true)
        .bytes(".")
        .btree_map(".")
        .compile_well_known_types(true)
        .extern_path(WELL_KNOWN.0, WELL_KNOWN.1)
        .emit_rerun_if_changed(false)
        .compile_fds_with_config(set, Config::new())?;
    Ok(())
}

/// Serde implementations that follow the proto3 JSON mapping.
fn json(set: &prost_types::FileDescriptorSet) -> Result<(), Box<dyn Error>> {
    let packages: Vec<String> = packages(set).map(|name| format!(".{name}")).collect();
    pbjson_build::Builder::new()
        .register_descriptors(&set.encode_to_vec())?
        .ignore_unknown_fields()
        .btree_map(["."])
        .extern_path(WELL_KNOWN.0, WELL_KNOWN.1)
        .exclude(JSON_BY_HAND)
        .build(&packages)?;
    Ok(())
}

/// Our own packages, without the well-known ones.
fn packages(set: &prost_types::FileDescriptorSet) -> impl Iterator<Item = &str> {
    set.file.iter().map(|file| file.package()).filter(|package| !package.starts_with("google."))
}

/// The table the wire routes by: path and streaming kind of each method.
fn methods(set: &prost_types::FileDescriptorSet) -> Result<String, Box<dyn Error>> {
    let mut table = String::from("&[\n");
    for file in &set.file {
        for service in &file.service {
            for method in &service.method {
                writeln!(
                    table,
                    "    crate::wire::Method::new(\"/{}.{}/{}\", {}, {}),",
                    file.package(),
                    service.name(),
                    method.name(),
                    method.client_streaming(),
                    method.server_streaming(),
                )?;
            }
        }
    }
    table.push_str("]\n");
    Ok(table)
}

/// What reflection serves: the shapes, not the comments.
fn without_comments(set: &prost_types::FileDescriptorSet) -> prost_types::FileDescriptorSet {
    let mut bare = set.clone();
    for file in &mut bare.file {
        file.source_code_info = None;
    }
    bare
}
