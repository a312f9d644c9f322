//! What every binary shares: client, apply, index, report, lease, shutdown, admin. Knows no domain type.
