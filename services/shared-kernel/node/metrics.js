// Metric names, help, labels and buckets are defined once, in metrics.json, for both languages.
import { readFileSync } from 'node:fs'

export const metricDefinitions = JSON.parse(readFileSync(new URL('../metrics.json', import.meta.url), 'utf8'))

/**
 * The named metrics, made with the `prom-client` the service brings. `collect` maps a gauge's name to a
 * function that sets it when it is scraped.
 */
export function createMetrics(client, registry, names, collect = {}) {
  const kinds = { counter: client.Counter, gauge: client.Gauge, histogram: client.Histogram }
  return Object.fromEntries(
    names.map((name) => {
      const definition = metricDefinitions[name]
      if (!definition) throw new Error(`metric \`${name}\` is not in metrics.json`)
      const { type, help, labels, buckets } = definition
      const Metric = kinds[type]
      const options = { name, help, labelNames: labels, registers: [registry] }
      if (buckets) options.buckets = buckets
      if (collect[name]) {
        options.collect = function () {
          collect[name](this)
        }
      }
      return [name, new Metric(options)]
    }),
  )
}
