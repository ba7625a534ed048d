"""Names that PostgreSQL brings along: predefined roles, and the extensions that are in wide use."""

from __future__ import annotations

#: Roles that every server has (PostgreSQL 12 to 18).
PREDEFINED_ROLES = (
    "pg_checkpoint", "pg_create_subscription", "pg_database_owner", "pg_execute_server_program",
    "pg_maintain", "pg_monitor", "pg_read_all_data", "pg_read_all_settings", "pg_read_all_stats",
    "pg_read_server_files", "pg_signal_autovacuum_worker", "pg_signal_backend",
    "pg_stat_scan_tables", "pg_use_reserved_connections", "pg_write_all_data",
    "pg_write_server_files",
)  # fmt: skip

#: Enough to notice a slip of the keyboard; an extension that isn't here is no finding by itself.
EXTENSIONS = (
    "address_standardizer", "adminpack", "age", "amcheck", "anon", "auto_explain", "autoinc",
    "bloom", "bool_plperl", "btree_gin", "btree_gist", "citext", "citus", "citus_columnar",
    "credcheck", "cube", "dblink", "dict_int", "dict_xsyn", "documentdb", "documentdb_core",
    "earthdistance", "fdw_wrapper", "file_fdw", "fuzzystrmatch", "h3", "h3_postgis", "hll",
    "hstore", "hstore_plperl", "hstore_plpython3u", "http", "hypopg", "insert_username", "intagg",
    "intarray", "ip4r", "isn", "jsonb_plperl", "jsonb_plpython3u", "lo", "ltree",
    "ltree_plpython3u", "moddatetime", "mongo_fdw", "mysql_fdw", "ogr_fdw", "old_snapshot",
    "oracle_fdw", "orafce", "pageinspect", "passwordcheck", "periods", "pg_bigm",
    "pg_buffercache", "pg_cron", "pg_duckdb", "pg_freespacemap", "pg_graphql", "pg_hint_plan",
    "pg_ivm", "pg_jsonschema", "pg_logicalinspect", "pg_net", "pg_partman", "pg_prewarm",
    "pg_qualstats", "pg_repack", "pg_search", "pg_similarity", "pg_squeeze", "pg_stat_kcache",
    "pg_stat_monitor", "pg_stat_statements", "pg_surgery", "pg_trgm", "pg_visibility",
    "pg_wait_sampling", "pg_walinspect", "pgaudit", "pgcrypto", "pgjwt", "pglogical", "pgml",
    "pgmq", "pgroonga", "pgrouting", "pgrowlocks", "pgsodium", "pgstattuple", "pgtap", "pgvector",
    "plperl", "plperlu", "plpgsql", "plpgsql_check", "plpython3u", "plr", "plsh", "pltcl",
    "pltclu", "plv8", "pointcloud", "postgis", "postgis_raster", "postgis_sfcgal",
    "postgis_tiger_geocoder", "postgis_topology", "postgres_fdw", "prefix", "refint", "rum",
    "seg", "semver", "set_user", "spi", "sslinfo", "supabase_vault", "system_stats", "tablefunc",
    "tcn", "tds_fdw", "temporal_tables", "timescaledb", "timescaledb_toolkit", "topn",
    "tsm_system_rows", "tsm_system_time", "unaccent", "unit", "uuid-ossp", "vchord", "vector",
    "vectorscale", "wal2json", "wrappers", "xml2", "zhparser", "zombodb",
)  # fmt: skip
