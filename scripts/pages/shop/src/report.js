/** Sales of a year, by month and by product. */
export function report() {
  const orders = readOrders(150_000);
  const months = groupByMonth(orders);
  return { months, best: sortProducts(orders).slice(0, 10) };
}

function readOrders(count) {
  return Array.from({ length: count }, (_, index) => parseOrder(`${index};${index % 977};${(index * 7919) % 365}`));
}

function parseOrder(line) {
  const [id, product, day] = line.split(';').map(Number);
  return { id, product, date: new Date(2026, 0, 1 + day) };
}

function groupByMonth(orders) {
  const months = {};
  for (const order of orders) {
    const month = monthOf(order.date);
    months[month] = (months[month] ?? 0) + 1;
  }
  return months;
}

function monthOf(date) {
  return date.toISOString().slice(0, 7);
}

function sortProducts(orders) {
  const counts = new Map();
  for (const { product } of orders) counts.set(product, (counts.get(product) ?? 0) + 1);
  return [...counts].sort(([, a], [, b]) => b - a);
}
