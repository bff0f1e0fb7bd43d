#pragma once
/// SQLite behind handles that close themselves: Database, Query, Transaction.
///
/// Databases are in WAL mode with synchronous=FULL: a committed transaction survives power loss. A Database belongs to
/// one thread at a time (its owner locks). Several processes may open one file; a writer waits up to five seconds for
/// another.
#include <sqlite3.h>

#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "base/bytes.h"
#include "base/file.h"
#include "base/handle.h"
#include "base/result.h"

namespace sprite::meta {

/// What a `?` stands for. Text and blobs must live as long as the Query.
using Value = std::variant<std::nullptr_t, std::int64_t, std::string_view, ByteView>;

/// One execution of a statement; ends when destroyed.
class Query {
 public:
  Query(Query&& other) noexcept : statement_(std::exchange(other.statement_, nullptr)) {}
  Query(const Query&) = delete;
  ~Query();

  /// Goes to the next row; false behind the last. Errors: busy, exists (a constraint), no_space, corrupt, unavailable.
  Result<bool> next();
  // The columns of the current row, from 0. Blobs and their views live until the next call of next().
  bool is_null(int column) const { return sqlite3_column_type(statement_, column) == SQLITE_NULL; }
  std::int64_t integer(int column) const { return sqlite3_column_int64(statement_, column); }
  std::string text(int column) const;
  ByteView blob(int column) const;

 private:
  friend class Database;
  explicit Query(sqlite3_stmt* statement) : statement_(statement) {}
  sqlite3_stmt* statement_;
};

class Database {
 public:
  /// Opens or makes `path` and brings it to the newest schema: migration i takes it from user_version i to i + 1, each
  /// in one transaction. Errors: corrupt, invalid (made by a newer version of this program), busy, no_space, denied,
  /// unavailable.
  static Result<Database> open(const Path& path, std::span<const std::string_view> migrations);

  /// The bytes of a new database file at the newest schema, with what `fill` puts into it. Making a file of them takes
  /// one sync; making the same through open() takes many. Errors: as open() and fill.
  static Result<Bytes> build(std::span<const std::string_view> migrations,
                             const std::function<Result<>(Database&)>& fill);

  /// Starts `sql` (one statement, kept prepared) with its `?`s filled in. Errors: invalid (SQL), as Query::next().
  Result<Query> query(std::string_view sql, std::initializer_list<Value> values = {});
  /// Runs `sql` to its end. Errors: as query().
  Result<> run(std::string_view sql, std::initializer_list<Value> values = {});
  /// Runs a script of several statements. Errors: as query().
  Result<> script(const std::string& sql);
  /// Rows changed by the last run().
  std::int64_t changes() const { return sqlite3_changes64(handle_.get()); }
  std::int64_t last_row_id() const { return sqlite3_last_insert_rowid(handle_.get()); }

 private:
  using Handle = std::unique_ptr<sqlite3, Releaser<sqlite3_close_v2>>;
  using Prepared = std::unique_ptr<sqlite3_stmt, Releaser<sqlite3_finalize>>;

  explicit Database(Handle handle) : handle_(std::move(handle)) {}
  Result<> migrate(std::span<const std::string_view> migrations);
  Result<sqlite3_stmt*> prepared(std::string_view sql);

  Handle handle_;
  std::map<std::string, Prepared, std::less<>> prepared_;
};

/// A write transaction; everything done in it is undone unless commit() succeeded.
class Transaction {
 public:
  /// Takes the write lock. Errors: busy, unavailable.
  static Result<Transaction> begin(Database& database);
  Transaction(Transaction&& other) noexcept : database_(std::exchange(other.database_, nullptr)) {}
  ~Transaction();
  /// Makes the changes durable. Errors: busy, no_space, unavailable.
  Result<> commit() &&;

 private:
  explicit Transaction(Database& database) : database_(&database) {}
  Database* database_;
};

}  // namespace sprite::meta
