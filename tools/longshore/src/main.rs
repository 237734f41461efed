//! The `longshore` command.

use std::path::PathBuf;
use std::process::ExitCode;

use longshore_sinks::embedded::{self, EmbeddedOptions};

fn main() -> ExitCode {
    // The embedded server is this same program, started again.
    if let Some(exit) = embedded::child_main(std::env::args_os()) {
        return exit;
    }
    let launcher = std::env::current_exe().expect("a running program has a path");
    let mut options = EmbeddedOptions::new(launcher);
    let mut args = std::env::args().skip(2);
    while let (Some(name), Some(value)) = (args.next(), args.next()) {
        match name.as_str() {
            "--data" => options.data = Some(PathBuf::from(value)),
            "--http-port" => options.http_port = value.parse().ok(),
            "--tcp-port" => options.tcp_port = value.parse().ok(),
            _ => return ExitCode::from(64),
        }
    }
    match embedded::run_foreground(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("longshore: {error}");
            ExitCode::from(69)
        }
    }
}
