import { NEST, NEST_FASTIFY } from './support/catalogue.ts';
import { testApplication } from './support/suite.ts';

testApplication(NEST);
testApplication(NEST_FASTIFY);
