//! Query parameters of the page: cluster and sort order.

use form_urlencoded::Serializer;

use super::{Row, truncated};

/// The sort order of the rows. Equal rows are sorted by time, newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    Time,
    Cluster,
    Zone,
    MachineType,
}

impl Sort {
    const ALL: [Self; 4] = [Self::Time, Self::Cluster, Self::Zone, Self::MachineType];

    /// The value of the query parameter.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Cluster => "cluster",
            Self::Zone => "zone",
            Self::MachineType => "machine_type",
        }
    }
}

/// `?cluster=…&sort=…`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Query {
    /// `None` selects all clusters, and rows without a cluster.
    pub(super) cluster: Option<String>,
    pub(super) sort: Sort,
}

impl Query {
    /// Parses the query of a URL. Unknown parameters are ignored.
    ///
    /// # Errors
    /// Returns an error if the sort order is unknown.
    pub(super) fn parse(query: &str) -> Result<Self, String> {
        let mut parsed = Self { cluster: None, sort: Sort::Time };
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*key {
                // The form sends an empty value for "all".
                "cluster" => parsed.cluster = (!value.is_empty()).then(|| truncated(&value)),
                "sort" if value.is_empty() => parsed.sort = Sort::Time,
                "sort" => {
                    let known = Sort::ALL.into_iter().find(|sort| sort.name() == value);
                    parsed.sort = known.ok_or_else(|| {
                        format!("unknown sort; allowed are {}", Sort::ALL.map(Sort::name).join(", "))
                    })?;
                }
                _ => {}
            }
        }
        Ok(parsed)
    }

    /// Filters and sorts rows, which are sorted newest first.
    pub(super) fn apply(&self, rows: &mut Vec<Row>) {
        if let Some(cluster) = &self.cluster {
            rows.retain(|row| row.cluster.as_ref() == Some(cluster));
        }
        let column: fn(&Row) -> &Option<String> = match self.sort {
            Sort::Time => return,
            Sort::Cluster => |row| &row.cluster,
            Sort::Zone => |row| &row.zone,
            Sort::MachineType => |row| &row.machine_type,
        };
        // Unknown values are last.
        rows.sort_by(|a, b| {
            let (a, b) = (column(a), column(b));
            a.is_none().cmp(&b.is_none()).then_with(|| a.cmp(b))
        });
    }

    /// A relative link to the page with this query.
    pub(super) fn link(cluster: Option<&str>, sort: Sort) -> String {
        let mut query = Serializer::for_suffix("?".to_owned(), 1);
        if let Some(cluster) = cluster {
            query.append_pair("cluster", cluster);
        }
        query.append_pair("sort", sort.name());
        query.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests_rows::row;
    use super::*;

    #[test]
    fn parses_a_query() {
        let all = Query { cluster: None, sort: Sort::Time };
        for query in ["", "cluster=", "cluster=&sort=", "sort=time", "page=2"] {
            assert_eq!(Query::parse(query).as_ref(), Ok(&all), "{query}");
        }
        let one = Query { cluster: Some("a b&<c>".to_owned()), sort: Sort::MachineType };
        assert_eq!(Query::parse("cluster=a+b%26%3Cc%3E&sort=machine_type").as_ref(), Ok(&one));
        let link = Query::link(one.cluster.as_deref(), one.sort);
        assert_eq!(Query::parse(&link[1..]).as_ref(), Ok(&one), "{link}");
        let refused = Query::parse("sort=name").unwrap_err();
        assert_eq!(refused, "unknown sort; allowed are time, cluster, zone, machine_type");
        assert_eq!(Query::parse("cluster=%ff").unwrap().cluster.as_deref(), Some("\u{fffd}"));
    }

    #[test]
    fn filters_and_sorts_rows() {
        // Newest first.
        let all = vec![
            row("1", Some("b"), "z-2", Some("n2")),
            row("2", Some("a"), "z-1", None),
            row("3", None, "z-2", None),
            row("4", Some("b"), "z-1", Some("e2")),
        ];
        for (query, expected) in [
            ("", "1234"),
            ("sort=time", "1234"),
            ("sort=cluster", "2143"),
            ("sort=zone", "2413"),
            ("sort=machine_type", "4123"),
            ("cluster=b", "14"),
            ("cluster=b&sort=zone", "41"),
            ("cluster=c", ""),
        ] {
            let mut rows = all.clone();
            Query::parse(query).unwrap().apply(&mut rows);
            let shown: String = rows.into_iter().filter_map(|row| row.id).collect();
            assert_eq!(shown, expected, "{query}");
        }
    }
}
