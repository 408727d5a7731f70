"""What is in ClickHouse, and what Kafka knows of it, in a folder; and back.

    manifest.json            what the backup is of, and every file with its rows and checksums
    TABLE/NNNNNN.native.gz   rows of a table, in ClickHouse's format Native
    control.jsonl            the entries of the control topic

`writing` makes it, `restoring` brings it back, `manifest` says what is in it.
"""
