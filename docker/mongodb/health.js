// Secrets come from files or from the environment, so that they are not seen in the process list.
const files = require("fs");

const LOGIN = "/run/secrets/MONGODB_LOGIN";
const MARK = "/tmp/cotai-users"; // written to once the users are right; it goes with the container's /tmp

function secret(name) {
  const file = process.env[`${name}_FILE`];
  return file ? files.readFileSync(file, "utf8").trim() : process.env[name];
}

// While the application's password changes, two users take turns: the file says whose password it is.
function login() {
  return files.existsSync(LOGIN) ? files.readFileSync(LOGIN, "utf8").trim() : process.env.MONGODB_USER;
}

function startReplicaSet() {
  try {
    rs.status();
  } catch (error) {
    if (error.codeName !== "NotYetInitialized") throw error;
    rs.initiate({ _id: "rs0", members: [{ _id: 0, host: "mongodb:27017" }] });
  }
}

// A user as it shall be, whether it is there or not: its password is the one that is configured now.
function keepUser(database, user, roles, credentials) {
  const there = database.getUser(user);
  if (there) database.updateUser(user, { roles, ...credentials });
  else database.createUser({ user, roles, ...credentials });
}

function keepUsers() {
  const admin = db.getSiblingDB("admin");
  const reading = [
    { role: "clusterMonitor", db: "admin" },
    { role: "read", db: "local" },
  ];
  keepUser(admin, login(), [{ role: "readWrite", db: "cotai" }], { pwd: secret("MONGODB_PASSWORD") });
  keepUser(admin, "monitor", reading, { pwd: secret("MONITOR_PASSWORD") });
  // The exporter takes no password from a file: it shows its certificate, whose subject is its name.
  keepUser(db.getSiblingDB("$external"), "CN=mongodb-exporter", reading, {});
  files.writeFileSync(MARK, "");
}

db.auth(secret("MONGO_INITDB_ROOT_USERNAME"), secret("MONGO_INITDB_ROOT_PASSWORD"));
startReplicaSet();

const hello = db.hello();
// In development the application is the root user, and MONGODB_USER is not set.
if (hello.isWritablePrimary && process.env.MONGODB_USER && !files.existsSync(MARK)) keepUsers();
print(hello.isWritablePrimary ? "writable primary" : `not writable: ${JSON.stringify(hello.topologyVersion)}`);
quit(hello.isWritablePrimary ? 0 : 1);
