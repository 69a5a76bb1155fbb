// A client for the parts of Prometheus' HTTP API that the tests use. A failed query throws an Error with the reason.

export class Prometheus {
  constructor(url) {
    this.url = url;
  }

  async get(path, parameters = {}) {
    const response = await fetch(`${this.url}/api/v1/${path}?${new URLSearchParams(parameters)}`);
    const { status, data, error } = await response.json();
    if (status !== "success") throw new Error(`${error} (${parameters.query ?? path})`);
    return data;
  }

  query = async (query, time) => (await this.get("query", { query, ...(time && { time }) })).result;

  range = async (query, start, end, step) => (await this.get("query_range", { query, start, end, step })).result;
}
