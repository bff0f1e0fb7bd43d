#include "meta/database.h"

namespace sprite::meta {
namespace {

Error::Kind kind_of(int code) {
  switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return Error::Kind::busy;
    case SQLITE_CONSTRAINT: return Error::Kind::exists;
    case SQLITE_FULL: return Error::Kind::no_space;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return Error::Kind::corrupt;
    case SQLITE_PERM:
    case SQLITE_READONLY: return Error::Kind::denied;
    case SQLITE_ERROR:
    case SQLITE_RANGE: return Error::Kind::invalid;
    default: return Error::Kind::unavailable;
  }
}

/// `what`, and in which file.
std::string of_file(sqlite3* handle, std::string what) {
  const char* name = handle ? sqlite3_db_filename(handle, "main") : nullptr;
  return name && *name ? what + " in '" + name + "'" : what;
}

Error last_error(sqlite3* handle, std::string what) {
  const int code = handle ? sqlite3_extended_errcode(handle) : SQLITE_NOMEM;
  Error error{kind_of(code), of_file(handle, std::move(what))};
  error.because.emplace_back(handle ? sqlite3_errmsg(handle) : "out of memory");
  return error;
}

int bind(sqlite3_stmt* statement, int index, const Value& value) {
  switch (value.index()) {
    case 0: return sqlite3_bind_null(statement, index);
    case 1: return sqlite3_bind_int64(statement, index, std::get<std::int64_t>(value));
    case 2: {
      const auto text = std::get<std::string_view>(value);
      return sqlite3_bind_text64(statement, index, text.data() ? text.data() : "", text.size(), SQLITE_STATIC,
                                 SQLITE_UTF8);
    }
    default: {
      const auto blob = std::get<ByteView>(value);
      if (blob.empty()) return sqlite3_bind_zeroblob(statement, index, 0);
      return sqlite3_bind_blob64(statement, index, blob.data(), blob.size(), SQLITE_STATIC);
    }
  }
}

}  // namespace

Query::~Query() {
  if (!statement_) return;
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
}

Result<bool> Query::next() {
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return last_error(sqlite3_db_handle(statement_), "a database statement failed");
}

std::string Query::text(int column) const {
  const unsigned char* text = sqlite3_column_text(statement_, column);
  return text ? std::string(reinterpret_cast<const char*>(text),
                            static_cast<std::size_t>(sqlite3_column_bytes(statement_, column)))
              : std::string();
}

ByteView Query::blob(int column) const {
  const void* blob = sqlite3_column_blob(statement_, column);
  return {static_cast<const std::byte*>(blob), static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
}

Result<Database> Database::open(const Path& path, std::span<const std::string_view> migrations) {
  sqlite3* raw = nullptr;
  const int code =
      sqlite3_open_v2(path.c_str(), &raw, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
  Database database{Handle(raw)};  // SQLite wants it closed even when it could not be opened
  if (code != SQLITE_OK) return last_error(raw, "cannot open database '" + path.string() + "'");
  sqlite3_extended_result_codes(raw, 1);
  sqlite3_busy_timeout(raw, 5000);
  TRY(database.script("pragma journal_mode=wal; pragma synchronous=full; pragma foreign_keys=on"));
  TRY(database.migrate(migrations));
  // A process that was killed may have left a transaction that we see and a loss of power would take back: the
  // checkpoint syncs the log before it copies from it.
  TRY(database.run("pragma wal_checkpoint(passive)"));
  return database;
}

Result<Bytes> Database::build(std::span<const std::string_view> migrations,
                              const std::function<Result<>(Database&)>& fill) {
  sqlite3* raw = nullptr;
  const int code = sqlite3_open(":memory:", &raw);
  Database database{Handle(raw)};
  if (code != SQLITE_OK) return last_error(raw, "cannot open a database in memory");
  TRY(database.migrate(migrations));
  TRY(fill(database));
  sqlite3_int64 size = 0;
  const std::unique_ptr<unsigned char, Releaser<sqlite3_free>> image(sqlite3_serialize(raw, "main", &size, 0));
  if (!image) return last_error(raw, "cannot copy a database out of memory");
  const ByteView view = std::as_bytes(std::span(image.get(), static_cast<std::size_t>(size)));
  Bytes bytes(view.begin(), view.end());
  constexpr std::size_t write_version = 18, read_version = 19;  // in SQLite's file header; 2 says WAL mode
  bytes[write_version] = bytes[read_version] = std::byte{2};
  return bytes;
}

Result<> Database::migrate(std::span<const std::string_view> migrations) {
  const auto version = [&]() -> Result<std::int64_t> {
    TRY_LET(Query query, this->query("pragma user_version"));
    TRY(query.next());
    return query.integer(0);
  };
  TRY_LET(std::int64_t have, version());
  if (have == static_cast<std::int64_t>(migrations.size())) return {};
  TRY_LET(Transaction transaction, Transaction::begin(*this));
  TRY_LET(have, version());  // another process may just have migrated
  if (have > static_cast<std::int64_t>(migrations.size()))
    return Error{Error::Kind::invalid,
                 of_file(handle_.get(), "a database") + " was made by a newer version of this program",
                 "update `sprite`",
                 {}};
  for (auto i = static_cast<std::size_t>(have); i < migrations.size(); ++i) TRY(script(std::string(migrations[i])));
  TRY(script("pragma user_version=" + std::to_string(migrations.size())));
  return std::move(transaction).commit();
}

Result<sqlite3_stmt*> Database::prepared(std::string_view sql) {
  if (const auto found = prepared_.find(sql); found != prepared_.end()) return found->second.get();
  sqlite3_stmt* raw = nullptr;
  if (sqlite3_prepare_v3(handle_.get(), sql.data(), static_cast<int>(sql.size()), SQLITE_PREPARE_PERSISTENT, &raw,
                         nullptr) != SQLITE_OK)
    return last_error(handle_.get(), "cannot prepare a database statement");
  return prepared_.emplace(sql, raw).first->second.get();
}

Result<Query> Database::query(std::string_view sql, std::initializer_list<Value> values) {
  TRY_LET(sqlite3_stmt * statement, prepared(sql));
  Query query(statement);
  int index = 0;
  for (const Value& value : values)
    if (bind(statement, ++index, value) != SQLITE_OK)
      return last_error(handle_.get(), "cannot fill in a database statement");
  return query;
}

Result<> Database::run(std::string_view sql, std::initializer_list<Value> values) {
  TRY_LET(Query query, this->query(sql, values));
  for (;;) {
    TRY_LET(const bool more, query.next());
    if (!more) return {};
  }
}

Result<> Database::script(const std::string& sql) {
  if (sqlite3_exec(handle_.get(), sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK)
    return last_error(handle_.get(), "a database script failed");
  return {};
}

Result<Transaction> Transaction::begin(Database& database) {
  TRY(database.run("begin immediate"));
  return Transaction(database);
}

Transaction::~Transaction() {
  if (database_) (void)database_->run("rollback");
}

Result<> Transaction::commit() && {
  TRY(database_->run("commit"));  // after a failure the destructor rolls back
  database_ = nullptr;
  return {};
}

}  // namespace sprite::meta
