// Every page of mongo-express asks for the login, and its first page asks the database.
const { ME_CONFIG_BASICAUTH_USERNAME: user, ME_CONFIG_BASICAUTH_PASSWORD: password } = process.env;
const headers = { authorization: `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}` };

fetch("http://127.0.0.1:8081/", { headers, signal: AbortSignal.timeout(4000) }).then(
  (response) => {
    console.log(response.status);
    process.exit(response.ok ? 0 : 1);
  },
  (error) => {
    console.log(error.message);
    process.exit(1);
  },
);
