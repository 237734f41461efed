//! What a run is made in: a folder, a scratch database, the proxy, the application with its logs, and the engine.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use longshore_core::config::{self, Env, WireCompression};
use longshore_sinks::clickhouse::{ClickHouse, Schema, Scratch};

use crate::chance::Chance;
use crate::disk::SmallDisk;
use crate::engine::Engine;
use crate::error::{ChaosError, at};
use crate::proxy::Proxy;
use crate::records::{ConfigText, JOURNAL, PASSWORD_VARIABLE, Source};
use crate::run::Options;
use crate::server::{Server, Target, behind_proxy};
use crate::writer::Writer;

/// Everything of a run. What is first is ended first.
pub(crate) struct Site {
    pub(crate) engine: Engine,
    pub(crate) application: Application,
    pub(crate) proxy: Proxy,
    /// The way to ClickHouse without the proxy; the database is dropped at the end.
    pub(crate) scratch: Scratch,
    pub(crate) server: Server,
    pub(crate) disk: Option<SmallDisk>,
    pub(crate) folder: PathBuf,
}

/// What stands between a database's name and the digits of its scratch database's.
pub const PURPOSE: &str = "chaos";

impl Site {
    /// Makes all of it; the engine is not started yet.
    pub(crate) fn make(options: &Options<'_>) -> Result<Site, ChaosError> {
        let folder = options.folder.clone();
        make_folder(&folder)?;
        let disk = match options.full_disk {
            true => SmallDisk::mount(&folder.join("journal")).map_err(at("make the folder", &folder))?,
            false => None,
        };
        let mut target = options.target.clone();
        if let Target::Own(own) = &mut target {
            own.data = Some(folder.join("clickhouse"));
        }
        let server = Server::open(&target)?;
        let connection = server.connection(&options.clickhouse.database);
        let (upstream, mut url) = behind_proxy(&connection)?;
        let is_loopback = matches!(upstream.host.as_str(), "localhost" | "127.0.0.1" | "::1");
        let proxy = Proxy::start(upstream).map_err(at("start the proxy on", "127.0.0.1"))?;
        // None of these can fail on a URL that has a host.
        let _ = (url.set_scheme("http"), url.set_host(Some("127.0.0.1")), url.set_port(Some(proxy.port())));

        let scratch = Scratch::new(&ClickHouse::connect(&connection)?, PURPOSE);
        let mut spec = options.clickhouse.clone();
        // To the engine, the proxy is on this machine; its server may not be.
        if spec.compression == WireCompression::Auto && !is_loopback {
            spec.compression = WireCompression::Lz4;
        }
        let text = ConfigText {
            source: Source::Logs,
            url: url.as_str(),
            user: &connection.user,
            database: scratch.clickhouse().database(),
            clickhouse: &spec,
        };
        let path = folder.join("chaos.toml");
        create_tables(&text.text(), &path, scratch.clickhouse())?;
        let writer = Writer::new(&folder.join("logs"), Chance::new(options.seed, 1));
        let writer = writer.map_err(at("write logs in", &folder))?;
        let engine = Engine::new(
            options.engine.clone(),
            path,
            connection.password.expose().to_owned(),
            folder.join("engine.log"),
        );
        Ok(Site { engine, application: Application::start(writer), proxy, scratch, server, disk, folder })
    }

    /// Copies the journal off a small disk, which goes away: it is what tells most of what went wrong.
    pub(crate) fn keep_journal(&mut self) -> io::Result<()> {
        if self.disk.is_none() {
            return Ok(());
        }
        self.engine.kill()?;
        let kept = self.folder.join("journal-kept");
        fs::create_dir_all(&kept)?;
        for entry in fs::read_dir(self.folder.join(JOURNAL))? {
            let entry = entry?;
            fs::copy(entry.path(), kept.join(entry.file_name()))?;
        }
        Ok(())
    }

    /// The way to ClickHouse without the proxy.
    pub(crate) fn clickhouse(&self) -> &ClickHouse {
        self.scratch.clickhouse()
    }
}

/// Makes the folder of a run, for its owner alone.
pub(crate) fn make_folder(folder: &Path) -> Result<(), ChaosError> {
    fs::DirBuilder::new().mode(0o700).create(folder).map_err(at("make the folder", folder))
}

/// Writes the config and makes its tables, before anything can be killed in the middle of that.
pub(crate) fn create_tables(text: &str, path: &Path, clickhouse: &ClickHouse) -> Result<(), ChaosError> {
    fs::write(path, text).map_err(at("write", path))?;
    let env = Env::from_iter([(PASSWORD_VARIABLE.to_owned(), String::new())]);
    let config = config::parse(text, path, &env).map_err(|problems| {
        let problems: Vec<String> = problems.iter().map(|problem| problem.render()).collect();
        ChaosError::Config(problems.join("\n"))
    })?;
    Schema::from_config(&config).apply(clickhouse)?;
    Ok(())
}

/// The application on its own thread; it writes while it is wanted to.
pub(crate) struct Application {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    writer: Mutex<Writer>,
    writes: AtomicBool,
    ends: AtomicBool,
    failed: Mutex<Option<io::Error>>,
}

impl Shared {
    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        while !self.ends.load(Ordering::Relaxed) {
            if !self.writes.load(Ordering::Relaxed) {
                std::thread::sleep(std::time::Duration::from_millis(2));
                continue;
            }
            let wrote = self.writer().burst();
            match wrote {
                Ok(pause) => std::thread::sleep(pause),
                Err(error) => {
                    *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    return;
                }
            }
        }
    }
}

impl Application {
    fn start(writer: Writer) -> Application {
        let shared = Arc::new(Shared {
            writer: Mutex::new(writer),
            writes: AtomicBool::new(false),
            ends: AtomicBool::new(false),
            failed: Mutex::new(None),
        });
        let thread = std::thread::spawn({
            let shared = shared.clone();
            move || shared.work()
        });
        Application { shared, thread: Some(thread) }
    }

    /// Goes on writing.
    pub(crate) fn write(&self) {
        self.shared.writes.store(true, Ordering::Relaxed);
    }

    /// Stops writing, at the end of a line. Nothing is written while the writer is held.
    pub(crate) fn rest(&self) -> io::Result<MutexGuard<'_, Writer>> {
        self.shared.writes.store(false, Ordering::Relaxed);
        let mut writer = self.shared.writer();
        if let Some(error) = self.shared.failed.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(error);
        }
        writer.finish_lines()?;
        Ok(writer)
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It panics nowhere; and a panic there would leave nothing to do here.
            let _ = thread.join();
        }
    }
}
