// The login comes from the environment, so that it is not seen in the process list.
db.auth(process.env.MONGO_INITDB_ROOT_USERNAME, process.env.MONGO_INITDB_ROOT_PASSWORD);

try {
  rs.status();
} catch (error) {
  if (error.codeName !== "NotYetInitialized") throw error;
  rs.initiate({ _id: "rs0", members: [{ _id: 0, host: "mongodb:27017" }] });
}

const hello = db.hello();
print(hello.isWritablePrimary ? "writable primary" : `not writable: ${JSON.stringify(hello.topologyVersion)}`);
quit(hello.isWritablePrimary ? 0 : 1);
