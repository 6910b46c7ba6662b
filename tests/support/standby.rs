//! A standby of a test server, fed by streaming replication; and a door in front of both that can be led to either, as a
//! service address is when one takes over from the other.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail loudly"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use tokio::net::{TcpListener, TcpStream};

use super::postgres::Server;

impl Server {
    /// A standby of this server, which must log enough for it and let it in: see [`PRIMARY`].
    pub fn standby(&self) -> Self {
        let mut standby = Self::prepare();
        let (socket, port) = (self.directory.display().to_string(), self.port().to_string());
        let source = [
            "--host",
            &socket,
            "--port",
            &port,
            "--username",
            super::postgres::SUPERUSER,
        ];
        let how = ["--checkpoint=fast", "--wal-method=stream", "--no-sync"];
        standby.run("pg_basebackup", &[&source[..], &how[..]].concat());
        let data = standby.directory.join("data");
        let more = format!(
            "unix_socket_directories = '{}'\nprimary_conninfo = 'host={socket} port={port} user={}'\nlog_connections = on\n",
            standby.directory.display(),
            super::postgres::SUPERUSER
        );
        let mut configuration = std::fs::read_to_string(data.join("postgresql.conf")).unwrap();
        configuration.push_str(&more);
        std::fs::write(data.join("postgresql.conf"), configuration).unwrap();
        std::fs::write(data.join("standby.signal"), "").unwrap();
        standby.account.own(&data.join("standby.signal"));
        standby.start_on_a_free_port();
        standby
    }

    /// Makes a standby a primary, and waits until it is.
    pub fn promote(&self) {
        self.run("pg_ctl", &["promote", "--wait", "--silent"]);
    }
}

/// Settings of a server that has a standby.
pub const PRIMARY: &[&str] = &["wal_level = replica", "max_wal_senders = 4", "hot_standby = on"];

/// A port that leads to another one.
pub struct Door {
    port: u16,
    leads_to: Arc<AtomicU16>,
}

impl Door {
    /// Opens it. Whoever is let in stays with the server that was behind it then.
    pub async fn to(server: &Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let door = Self {
            port: listener.local_addr().unwrap().port(),
            leads_to: Arc::new(AtomicU16::new(server.port())),
        };
        let leads_to = door.leads_to.clone();
        tokio::spawn(async move {
            while let Ok((mut guest, _)) = listener.accept().await {
                let port = leads_to.load(Ordering::SeqCst);
                tokio::spawn(async move {
                    if let Ok(mut host) = TcpStream::connect(("127.0.0.1", port)).await {
                        let _ = tokio::io::copy_bidirectional(&mut guest, &mut host).await;
                    }
                });
            }
        });
        door
    }

    /// Where it is.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whoever comes from now on is led to this server.
    pub fn lead_to(&self, server: &Server) {
        self.leads_to.store(server.port(), Ordering::SeqCst);
    }
}
