//! What the catalogue of a database says, as far as retention is concerned.

/// A database.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Catalogue {
    /// Its name.
    pub database: String,
    /// Version of the server, for example `15.13`.
    pub server_version: String,
    /// Ordinary and partitioned tables; partitions belong to their parent.
    pub tables: Vec<Table>,
    /// What a policy cannot be about.
    pub unsupported: Vec<Unsupported>,
}

/// Where the catalogue was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Host name or address; absent over a socket.
    pub host: Option<String>,
    /// Port.
    pub port: u16,
    /// How the connection was protected.
    pub transport: Transport,
}

/// How a connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// TLS, certificate and host name verified.
    VerifyFull,
    /// TCP in clear.
    Clear,
    /// A socket of this machine.
    Socket,
}

/// A relation that a policy cannot be about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsupported {
    /// Schema.
    pub schema: String,
    /// Name.
    pub name: String,
    /// What it is, in words.
    pub what: String,
}

/// A table.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table {
    /// Schema.
    pub schema: String,
    /// Name.
    pub name: String,
    /// Whether it has partitions.
    pub partitioned: bool,
    /// Rows, as the planner estimates them; absent where never analysed.
    pub rows: Option<f64>,
    /// Row-level security is switched on.
    pub row_security: bool,
    /// Columns, in their order.
    pub columns: Vec<Column>,
    /// Columns of the primary key.
    pub primary_key: Vec<String>,
    /// Foreign keys of this table.
    pub foreign_keys: Vec<ForeignKey>,
    /// Foreign keys of tables (this one too) that point here.
    pub referenced_by: Vec<ForeignKey>,
    /// Triggers and rewrite rules.
    pub triggers: Vec<Trigger>,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Name.
    pub name: String,
    /// Type as the server writes it, for example `character varying(80)`.
    pub type_name: String,
    /// What can be done with the type.
    pub kind: Kind,
    /// A btree index over all rows leads with it.
    pub indexed: bool,
}

/// What can be done with values of a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `timestamptz`.
    Instant,
    /// `timestamp`.
    LocalTime,
    /// `date`.
    Date,
    /// `inet` or `cidr`.
    Address,
    /// `macaddr` or `macaddr8`.
    Hardware,
    /// Text of any length.
    Text,
    /// `boolean`.
    Boolean,
    /// Numbers and identifiers.
    Plain,
    /// Anything else.
    Other,
}

impl Kind {
    /// Whether a period can begin with it.
    #[must_use]
    pub const fn is_time(self) -> bool {
        matches!(self, Self::Instant | Self::LocalTime | Self::Date)
    }

    /// Whether it is a time only with a zone.
    #[must_use]
    pub const fn needs_zone(self) -> bool {
        matches!(self, Self::LocalTime | Self::Date)
    }
}

/// A foreign key, seen from the table that it starts at or ends at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignKey {
    /// Name of the constraint.
    pub name: String,
    /// Schema and name of the other table.
    pub other: (String, String),
    /// Columns of the table that points.
    pub from: Vec<String>,
    /// Columns of the table that is pointed at.
    pub to: Vec<String>,
    /// What happens to the row that points when the other is deleted.
    pub on_delete: OnDelete,
}

/// What happens to a row that points at a deleted one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDelete {
    /// The delete is refused.
    Refuse,
    /// It is deleted too.
    Cascade,
    /// Its columns become NULL.
    SetNull,
    /// Its columns get their default.
    SetDefault,
}

impl OnDelete {
    /// As it stands in the table's definition.
    #[must_use]
    pub const fn as_sql(self) -> &'static str {
        match self {
            Self::Refuse => "NO ACTION",
            Self::Cascade => "ON DELETE CASCADE",
            Self::SetNull => "ON DELETE SET NULL",
            Self::SetDefault => "ON DELETE SET DEFAULT",
        }
    }
}

/// A trigger or a rewrite rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trigger {
    /// `trigger` or `rule`.
    pub what: &'static str,
    /// Name.
    pub name: String,
    /// Whether a delete sets it off.
    pub on_delete: bool,
    /// Whether an update sets it off.
    pub on_update: bool,
}

impl Table {
    /// What stops a rule that deletes from this table, in words.
    #[must_use]
    pub fn delete_obstacles(&self) -> Vec<String> {
        let cascades = self
            .referenced_by
            .iter()
            .filter(|key| key.on_delete != OnDelete::Refuse);
        let triggers = self.triggers.iter().filter(|trigger| trigger.on_delete);
        let cascades = cascades.map(|key| {
            let (schema, name) = &key.other;
            format!(
                "foreign key {} of {schema}.{name} is {}",
                key.name,
                key.on_delete.as_sql()
            )
        });
        cascades
            .chain(triggers.map(|trigger| format!("{} {}", trigger.what, trigger.name)))
            .collect()
    }

    /// What stops a rule that masks or sets columns of this table, in words.
    #[must_use]
    pub fn update_obstacles(&self) -> Vec<String> {
        let triggers = self.triggers.iter().filter(|trigger| trigger.on_update);
        triggers
            .map(|trigger| format!("{} {}", trigger.what, trigger.name))
            .collect()
    }
}
