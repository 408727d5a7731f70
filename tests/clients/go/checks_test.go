// The official Go client over HTTP against a running front: SLUICE_TEST_ADDRESS and SLUICE_TEST_PASSWORD say where.
package clients

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

var methods = map[string]clickhouse.CompressionMethod{
	"none": clickhouse.CompressionNone, "lz4": clickhouse.CompressionLZ4, "zstd": clickhouse.CompressionZSTD,
	"gzip": clickhouse.CompressionGZIP, "deflate": clickhouse.CompressionDeflate,
}

func options(method clickhouse.CompressionMethod) *clickhouse.Options {
	return &clickhouse.Options{
		Protocol:    clickhouse.HTTP,
		Addr:        []string{os.Getenv("SLUICE_TEST_ADDRESS")},
		Auth:        clickhouse.Auth{Username: "default", Password: os.Getenv("SLUICE_TEST_PASSWORD"), Database: "default"},
		Compression: &clickhouse.Compression{Method: method},
	}
}

func open(t *testing.T, method clickhouse.CompressionMethod) driver.Conn {
	t.Helper()
	conn, err := clickhouse.Open(options(method))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func TestHello(t *testing.T) {
	conn := open(t, clickhouse.CompressionLZ4)
	if err := conn.Ping(context.Background()); err != nil {
		t.Fatal(err)
	}
	version, err := conn.ServerVersion()
	if err != nil {
		t.Fatal(err)
	}
	if version.Version.Major < 26 {
		t.Fatalf("version %v", version)
	}
}

func TestWrongPassword(t *testing.T) {
	wrong := options(clickhouse.CompressionNone)
	wrong.Auth.Password = "wrong"
	conn, err := clickhouse.Open(wrong)
	if err == nil {
		err = conn.Ping(context.Background())
	}
	if err == nil || !strings.Contains(err.Error(), "AUTHENTICATION_FAILED") {
		t.Fatalf("got %v", err)
	}
}

func TestBatchesAndRows(t *testing.T) {
	for name, method := range methods {
		t.Run(name, func(t *testing.T) {
			conn, ctx := open(t, method), context.Background()
			table := "go_checks_" + name
			must(t, conn.Exec(ctx, "DROP TABLE IF EXISTS "+table))
			must(t, conn.Exec(ctx, "CREATE TABLE "+table+` (id UInt64, s String, l LowCardinality(String),
				n Nullable(Int32), a Array(String), m Map(String, Int64), d DateTime64(3, 'UTC'), u UUID)
				ENGINE = MergeTree ORDER BY id`))
			defer conn.Exec(ctx, "DROP TABLE "+table)
			batch, err := conn.PrepareBatch(ctx, "INSERT INTO "+table)
			if err != nil {
				t.Fatal(err)
			}
			at := time.UnixMilli(1_700_000_000_123).UTC()
			for id := range uint64(20_000) {
				var n *int32
				if id%2 == 0 {
					v := int32(id)
					n = &v
				}
				must(t, batch.Append(id, fmt.Sprintf("é %d", id), "low", n, []string{"x", "y"},
					map[string]int64{"k": int64(id)}, at, "61f0c404-5cb3-11e7-907b-a6006ad3dba0"))
			}
			must(t, batch.Send())
			rows, err := conn.Query(ctx, "SELECT * FROM "+table+" ORDER BY id")
			if err != nil {
				t.Fatal(err)
			}
			defer rows.Close()
			count := uint64(0)
			for rows.Next() {
				var id uint64
				var s, l string
				var n *int32
				var a []string
				var m map[string]int64
				var d time.Time
				var u string
				must(t, rows.Scan(&id, &s, &l, &n, &a, &m, &d, &u))
				if id != count || s != fmt.Sprintf("é %d", id) || (n == nil) != (id%2 == 1) || m["k"] != int64(id) || !d.Equal(at) {
					t.Fatalf("row %d: %v %v %v %v %v %v %v %v", count, id, s, l, n, a, m, d, u)
				}
				count++
			}
			must(t, rows.Err())
			if count != 20_000 {
				t.Fatalf("%d rows", count)
			}
		})
	}
}

func TestParametersAreValues(t *testing.T) {
	conn := open(t, clickhouse.CompressionLZ4)
	ctx := clickhouse.Context(context.Background(), clickhouse.WithParameters(clickhouse.Parameters{"s": "a' OR 1 --"}))
	var found string
	must(t, conn.QueryRow(ctx, "SELECT {s: String}").Scan(&found))
	if found != "a' OR 1 --" {
		t.Fatal(found)
	}
}

func TestSettings(t *testing.T) {
	conn := open(t, clickhouse.CompressionLZ4)
	ctx := clickhouse.Context(context.Background(), clickhouse.WithSettings(clickhouse.Settings{"max_threads": 3}))
	var found string
	must(t, conn.QueryRow(ctx, "SELECT toString(getSetting('max_threads'))").Scan(&found))
	if found != "3" {
		t.Fatal(found)
	}
}

func TestErrors(t *testing.T) {
	conn := open(t, clickhouse.CompressionLZ4)
	err := conn.Exec(context.Background(), "SELECT * FROM no_such_table")
	if err == nil || !strings.Contains(err.Error(), "code: 60") {
		t.Fatalf("got %v", err)
	}
}

func TestAnEndedContextCancels(t *testing.T) {
	conn := open(t, clickhouse.CompressionLZ4)
	ctx, cancel := context.WithTimeout(context.Background(), 700*time.Millisecond)
	defer cancel()
	err := conn.Exec(ctx, "SELECT sleepEachRow(0.01) AS stopped_by_go FROM numbers(100000) SETTINGS max_block_size = 1 FORMAT Null")
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
	running := uint64(1)
	for until := time.Now().Add(10 * time.Second); running > 0 && time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
		must(t, conn.QueryRow(context.Background(),
			"SELECT count() FROM system.processes WHERE query LIKE '%stopped_by_go%' AND query NOT LIKE '%processes%'").Scan(&running))
	}
	if running != 0 {
		t.Fatal("still running")
	}
}

func TestDatabaseSQL(t *testing.T) {
	db := clickhouse.OpenDB(options(clickhouse.CompressionLZ4))
	defer db.Close()
	var number int
	must(t, db.QueryRow("SELECT number FROM numbers(10) WHERE number = ?", 7).Scan(&number))
	if number != 7 {
		t.Fatal(number)
	}
	if _, err := db.Exec("CREATE OR REPLACE TABLE go_sql (id UInt64) ENGINE = MergeTree ORDER BY id"); err != nil {
		t.Fatal(err)
	}
	defer db.Exec("DROP TABLE go_sql")
	transaction, err := db.Begin()
	must(t, err)
	insert, err := transaction.Prepare("INSERT INTO go_sql")
	must(t, err)
	for id := range 10 {
		_, err = insert.Exec(uint64(id))
		must(t, err)
	}
	must(t, transaction.Commit())
	must(t, db.QueryRow("SELECT toInt64(sum(id)) FROM go_sql").Scan(&number))
	if number != 45 {
		t.Fatal(number)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
